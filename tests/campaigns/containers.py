"""The steps of deploy/Dockerfile and the services of deploy/compose.yaml, on a machine without a container engine.

debootstrap makes Debian's root, each instruction of the Dockerfile is carried out in it by chroot, and the services run
from it as compose.yaml says: as the image's user, without rights, with a read-only root, each with its own processes.
Belongs here: carrying the two files out, and asking what then runs. Does not belong here: reading them
(`tests.campaigns.container_files`). Started as root by ``make containers``; it takes minutes.

Different from an engine: Python is Debian's own of the same version, PostgreSQL is this machine's, all services share
one network (their names lead to loopback), and nothing limits memory or processors.
"""

import argparse
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from tests.broker import Broker
from tests.campaigns.container_files import Copy, Service, Step, files_of_context, read_compose, read_dockerfile
from tests.campaigns.daemon import until
from tests.command import ROOT
from tests.dagster_dev import ENDED, RUNS, Webserver, wait_for
from tests.database_servers import PASSWORD, PostgreSQLServer

FILES = ROOT / "deploy"
TAKEN_ALONG = re.compile(r"PIP_(CERT|INDEX_URL)|(https?|no)_proxy", re.IGNORECASE)
"""Variables of this machine that a build needs to reach the package registries."""
NEW_NETWORK = 0x40000000
"""CLONE_NEWNET; `os.unshare` is there from Python 3.12 on."""
NEW_RATING = "userId,movieId,rating,timestamp\n1,318,5.0,1700000000\n1,858,4.5,1700000001\n"


def say(text: str) -> None:
    """Print a line with the time."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def in_root(
    root: Path,
    command: list[str],
    *,
    user: str = "root",
    folder: str = "/",
    environment: dict[str, str] | None = None,
    mounts: str = "",
) -> list[str]:
    """The command line that runs a command in a root, with its own processes and mounts; `mounts` is done before.

    Another user than root has no rights, and gets none by running anything.
    """
    setup = f'{mounts}\nmount --rbind /dev {root}/dev\nmount -t proc proc {root}/proc\nexec chroot {root} "$@"'
    home = "/root" if user == "root" else f"/home/{user}"
    variables = {"PATH": "/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin", "HOME": home, **(environment or {})}
    limits = ["--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"] if user != "root" else []
    return [
        *("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", setup, "in-root"),
        *("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *limits),
        *("env", "-i", "-C", folder, *(f"{name}={value}" for name, value in variables.items()), *command),
    ]


def debian(folder: Path, version: str, suite: str) -> Path:
    """Debian's root with its own Python, in place of python:<version>-slim-<suite>; kept for the next time."""
    base = folder / f"debian-{suite}"
    if not (base / "ready").exists():
        packages = "ca-certificates,python3,python3-venv,python3-dev"
        words = ["debootstrap", "--variant=minbase", f"--include={packages}", suite, str(base)]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        (base / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        for path in {"/etc/resolv.conf", os.environ.get("PIP_CERT", "/etc/resolv.conf")}:
            (base / path[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, base / path[1:])
        (base / "ready").touch()
    found = subprocess.run(in_root(base, ["python", "--version"]), check=True, capture_output=True, text=True).stdout
    if not found.startswith(f"Python {version}."):
        sys.exit(f"Debian {suite} has {found.strip()}, the image Python {version}: choose a suite that has the same")
    return base


class Image:
    """A stage of the Dockerfile: a root, and what its instructions said of users, folders and variables."""

    def __init__(self, root: Path) -> None:
        self.root, self.user, self.folder, self.command = root, "root", "/", list[str]()
        self.environment: dict[str, str] = {"PATH": "/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin"}

    def inside(self, path: str) -> Path:
        """A path of the image, on this machine."""
        return self.root / os.path.normpath(Path(self.folder) / path).lstrip("/")

    def carry_out(self, step: Step, stages: dict[str, "Image"]) -> None:
        """Do what an instruction says; an unknown one is an error."""
        match step.name:
            case "RUN":
                along = {name: value for name, value in os.environ.items() if TAKEN_ALONG.fullmatch(name)}
                options: Any = {"user": self.user, "folder": self.folder, "environment": {**along, **self.environment}}
                words = in_root(self.root, ["sh", "-c", step.text], **options)
                done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
                assert done.returncode == 0, done.stdout[-3000:]
            case "COPY":
                self._copy(step.copy(), stages)
            case "WORKDIR":
                self.folder = step.text
                self.inside(".").mkdir(parents=True, exist_ok=True)
            case "ENV":
                self.environment |= step.variables(self.environment)
            case "USER":
                self.user = step.text
            case "VOLUME":
                assert self.inside(step.text).is_dir(), f"{step.text} is not in the image"
            case "CMD":
                self.command = json.loads(step.text)
            case _:
                raise NotImplementedError(step.name)

    def _copy(self, copy: Copy, stages: dict[str, "Image"]) -> None:
        target = self.inside(copy.target)
        if copy.stage:
            for source in copy.sources:
                subprocess.run(["cp", "-a", f"{stages[copy.stage].inside(source)}/.", target], check=True)
        else:
            for file, name in files_of_context(ROOT, copy.sources):
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, target / name)
        if copy.owner:
            words = ["chown", "-R", copy.owner, f"/{target.relative_to(self.root)}"]
            subprocess.run(in_root(self.root, words), check=True)


def build(kept: Path, folder: Path) -> Image:
    """Carry out the Dockerfile in a folder; the last stage is the image."""
    stages: dict[str, Image] = {}
    image = None
    for step in read_dockerfile(FILES / "Dockerfile"):
        begun = time.monotonic()
        if step.name == "FROM":
            version, suite, name = step.base()
            root = folder / f"stage-{name or 'last'}"
            subprocess.run(["cp", "-a", "--reflink=auto", debian(kept, version, suite), root], check=True)
            image = stages[name] = Image(root)
        else:
            assert image is not None
            image.carry_out(step, stages)
        say(f"{time.monotonic() - begun:6.1f} s  {step.name} {step.text[:90]}")
    assert image is not None
    return image


class Composition:
    """The services of compose.yaml over one image: started, run once, stopped."""

    def __init__(self, image: Image, folder: Path, environment: dict[str, str]) -> None:
        self.image, self.logs = image, folder / "logs"
        self.services = read_compose(FILES / "compose.yaml", environment)
        self.volumes, self._running = folder / "volumes", dict[str, subprocess.Popen[bytes]]()
        self.logs.mkdir()
        with (image.root / "etc/hosts").open("a") as hosts:
            hosts.write("".join(f"127.0.0.1 {name}\n" for name in ("localhost", *self.services)))

    def volume(self, service: Service, place: str) -> Path:
        """The volume of a service at a place; a new one is what the image has there, as with an engine."""
        volume = self.volumes / service.volumes[place]
        if not volume.exists():
            self.volumes.mkdir(exist_ok=True)
            subprocess.run(["cp", "-a", self.image.inside(place), volume], check=True)
        return volume

    def words(self, name: str, command: list[str]) -> list[str]:
        """The command line of a service with a command."""
        service, root = self.services[name], self.image.root
        assert service.read_only, f"{name} could write its root"
        assert service.drops_rights, f"{name} has rights"
        mounts = [f"mount --bind {root} {root}", f"mount -o remount,bind,ro {root}"]
        mounts += [f"mount --bind {self.volume(service, place)} {root}{place}" for place in service.volumes]
        mounts += [f"mount -t tmpfs tmpfs {root}{place}" for place in service.tmpfs]
        return in_root(
            root,
            command or service.command or self.image.command,
            user=self.image.user,
            folder=self.image.folder,
            environment={**self.image.environment, **service.environment},
            mounts="\n".join(mounts),
        )

    def run(self, name: str, *command: str) -> "subprocess.CompletedProcess[str]":
        """``docker compose run --rm NAME COMMAND``: what it said, and its exit code."""
        return subprocess.run(self.words(name, list(command)), capture_output=True, text=True, check=False)

    def done(self, name: str, *command: str) -> str:
        """The same, which must succeed; what it printed."""
        done = self.run(name, *command)
        assert done.returncode == 0, f"{name} {command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def up(self, name: str) -> None:
        """``docker compose up -d NAME``."""
        with (self.logs / name).open("ab") as log:
            self._running[name] = subprocess.Popen(self.words(name, []), stdout=log, stderr=log)

    def log(self, name: str) -> str:
        """What a service has written."""
        return (self.logs / name).read_text(errors="replace")

    def answer(self, name: str, url: str, **options: Any) -> httpx.Response:
        """What a service answers; waits until it listens."""
        response: list[httpx.Response] = []

        def answers() -> bool:
            assert self._running[name].poll() is None, self.log(name)[-3000:]
            try:
                response.append(httpx.get(url, timeout=60, **options))
            except httpx.TransportError:
                return False
            return True

        until(answers, f"an answer of {name}")
        return response[0]

    def stop(self, name: str) -> float:
        """``docker compose stop NAME``: SIGTERM to its first process; the seconds until it had ended."""
        begun = time.monotonic()
        outside = self._running.pop(name)
        children = Path(f"/proc/{outside.pid}/task/{outside.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGTERM)
        outside.wait(self.services[name].grace_seconds)
        assert "Traceback" not in self.log(name), self.log(name)[-3000:]
        return time.monotonic() - begun


def try_services(image: Image, folder: Path) -> None:
    """Start the services over an empty home, and use them as deploy/README.md says."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    postgres = PostgreSQLServer(Path(tempfile.mkdtemp(dir="/tmp")), port=5432)  # the account postgres gets into /tmp
    with postgres.connect("postgres") as connection:
        connection.execute("CREATE DATABASE marquee")
    kafka = Broker(folder)
    kafka.make("events", 1)
    services = Composition(
        image, folder, {"POSTGRES_PASSWORD": PASSWORD, "KAFKA_URL": f"kafka://{kafka.address}/events"}
    )
    home = services.volume(services.services["service"], "/var/lib/marquee")

    assert "Read-only file system" in services.run("service", "touch", "/opt/marquee/new").stderr
    assert services.done("service", "id", "-u").strip() == "10001"
    refused = services.run("service", "marquee", "serve", "--host", "0.0.0.0")
    assert "marquee keys add" in refused.stderr, refused
    key = json.loads(services.done("service", "marquee", "keys", "add", "shop", "--scope", "read", "--json"))["key"]
    say("the root is read-only, the user 10001, no service without a key; a key made")

    services.up("daemon")
    until(lambda: (home / "dagster/dagster.yaml").exists(), "the instance of the daemon")
    assert "DAGSTER_POSTGRES_URL" in (home / "dagster/dagster.yaml").read_text()
    services.up("webserver")
    assert services.answer("webserver", "http://127.0.0.1:3000/server_info").status_code == 200
    report = json.loads(services.done("daemon", "marquee", "run", "--source", "sample", "--json"))
    assert report["state"] == "live", report
    say(f"marquee run made {report['release']} in {report['seconds']['total']:.0f} s")

    begun = time.monotonic()
    services.up("service")
    asked: Any = {"url": "http://127.0.0.1:5000/pairs/1/260", "headers": {"Authorization": f"Bearer {key}"}}
    assert services.answer("service", "http://127.0.0.1:5000/pairs/1/260").status_code == 401
    say(f"the service listens {time.monotonic() - begun:.1f} s after its start")
    until(lambda: services.answer("service", **asked).status_code == 200, "a list from the service")
    assert services.answer("service", **asked).json()["release"] == report["release"]
    say(f"the service answers from {report['release']} {time.monotonic() - begun:.1f} s after its start")

    services.up("stream")
    event = {"event_id": "one", "type": "rating", "user_id": 1, "movie_id": 260, "rating": 4.5}
    kafka.send("events", [(0, json.dumps(event).encode())])
    (home / "landing/new.part").write_text(NEW_RATING)
    (home / "landing/new.part").rename(home / "landing/new.csv")
    shutil.chown(home / "landing/new.csv", 10001, 10001)
    ui = Webserver(home, 3000)

    def ingested() -> list[str]:
        found = ui.ask(RUNS)["runsOrError"]["results"]
        return [run["status"] for run in found if run["jobName"] == "ingest_ratings"]

    until(lambda: len(list((home / "landing/ingested").glob("*"))) >= 2, "both files of ratings to be ingested")
    until(lambda: set(ingested()) == {"SUCCESS"}, "the end of the ingest")
    say(f"the daemon ingested what landed, and what came by Kafka ({len(ingested())} runs)")

    begun = time.monotonic()
    night = ui.start("retrain_model", {}, {})
    wait_for(lambda: ui.status(night) in ENDED, 900, "the end of the nightly run")
    assert ui.status(night) == "SUCCESS", services.log("daemon")[-3000:]
    say(f"the nightly run took {time.monotonic() - begun:.1f} s")
    releases = json.loads(services.done("service", "marquee", "releases", "--json"))["releases"]
    (live,) = [found["release"] for found in releases if found["state"] == "live"]
    assert live != report["release"], releases
    until(lambda: services.answer("service", **asked).json()["release"] == live, "the service to follow")
    services.done("service", "marquee", "doctor")
    owners = {path.lstat().st_uid for path in home.rglob("*")}
    assert owners == {10001}, owners
    say(f"the service followed to {live}; the doctor finds nothing")

    for name in ("stream", "service", "webserver", "daemon"):
        say(f"{name} ended {services.stop(name):.1f} s after SIGTERM")
    kafka.stop()
    postgres.stop()


def main() -> None:
    """Build, then try the services in a network of their own; fail where anything is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="keep the Debian root there for the next time")
    chosen = parser.parse_args()
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        sys.exit("this needs root and debootstrap (Debian: apt-get install debootstrap)")
    if os.getpid() != 1:  # in namespaces of its own, so that nothing is left when it ends
        own = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        sys.exit(subprocess.run([*own, sys.executable, "-m", __spec__.name, *sys.argv[1:]], check=False).returncode)
    kept = chosen.folder or Path(tempfile.mkdtemp(prefix="marquee-containers-"))
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept, prefix="build-") as folder:
        image = build(kept, Path(folder))
        assert ctypes.CDLL(None).unshare(NEW_NETWORK) == 0, "no network of its own to be had"
        try_services(image, Path(folder))
    say("done")


if __name__ == "__main__":
    main()
