"""The files in deploy/ parse, agree with what is shipped, and name commands that exist. No engine runs here."""

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

import serving.metrics  # noqa: F401  (declares what the registry shows)
from tests.campaigns.container_files import files_of_context, read_compose, read_dockerfile
from tests.command import ROOT

DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


def read_yaml(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def test_production_differs_from_the_shipped_instance_in_its_storage_only() -> None:
    production = read_yaml(ROOT / "orchestration" / "dagster-postgresql.yaml")
    assert production.pop("storage") == {"postgres": {"postgres_url": {"env": "DAGSTER_POSTGRES_URL"}}}
    assert production == read_yaml(ROOT / "orchestration" / "dagster.yaml")


def test_the_driver_belongs_to_the_locked_dagster() -> None:
    """dagster 1.x.y goes with dagster-postgres 0.(x + 16).y, and any other asks for another dagster."""
    (driver,) = re.findall(
        r"^dagster-postgres==0\.(\d+)\.(\d+)$", (DEPLOY / "requirements.txt").read_text(), re.MULTILINE
    )
    (dagster,) = re.findall(r"^dagster==1\.(\d+)\.(\d+) ", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert (int(driver[0]) - 16, driver[1]) == (int(dagster[0]), dagster[1])


def test_the_address_names_the_driver_that_dagster_postgres_brings() -> None:
    services = read_yaml(DEPLOY / "compose.yaml")["services"]
    for name in ("daemon", "webserver"):
        address = services[name]["environment"]["DAGSTER_POSTGRES_URL"]
        assert address.startswith("postgresql+psycopg2://"), "SQLAlchemy 2.1 takes a plain postgresql:// for psycopg 3"


def test_alerts_are_about_metrics_that_the_service_has() -> None:
    shown = {metric.name for metric in REGISTRY.collect()}
    rules = [rule for group in read_yaml(DEPLOY / "alerts.yml")["groups"] for rule in group["rules"]]
    assert {rule["alert"] for rule in rules} >= {"EventsRefused", "EventsNotKept", "EventsNotSealed"}
    manual = (ROOT / "docs" / "operations.md").read_text()
    for rule in rules:
        named = {name.removesuffix("_total") for name in re.findall(r"marquee_\w+", rule["expr"])}
        assert named, rule["alert"]
        assert named <= shown, named - shown
        assert f"`{rule['alert']}`" in manual, rule["alert"]


def test_compose_runs_three_processes_over_one_home_and_a_stream_if_asked() -> None:
    services = read_yaml(DEPLOY / "compose.yaml")["services"]
    assert set(services) == {"postgres", "daemon", "webserver", "service", "stream"}
    assert [name for name, service in services.items() if "profiles" in service] == ["stream"]
    for name in ("daemon", "webserver", "service", "stream"):
        assert "home:/var/lib/marquee" in services[name]["volumes"]
    for name, service in read_compose(DEPLOY / "compose.yaml", {"POSTGRES_PASSWORD": "x"}).items():
        assert name == "postgres" or (service.read_only and service.drops_rights), name


def test_the_image_gets_the_packages_and_nothing_of_this_machine() -> None:
    steps = list(read_dockerfile(DEPLOY / "Dockerfile"))
    assert len({step.base()[:2] for step in steps if step.name == "FROM"}) == 1
    copies = [step.copy() for step in steps if step.name == "COPY"]
    names = [name for copy in copies if not copy.stage for _, name in files_of_context(ROOT, copy.sources)]
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    assert {name for name in names if name != "requirements.txt"} <= set(tracked)
    modules = {name for name in tracked if name.endswith(".py") and not name.startswith("tests/")}
    assert modules <= set(names), modules - set(names)


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_units_name_commands_and_options_that_exist(unit: Path) -> None:
    parsed = configparser.ConfigParser(strict=False, interpolation=None)
    parsed.optionxform = str  # type: ignore[method-assign,assignment]
    parsed.read(unit)
    program, *arguments = parsed["Service"]["ExecStart"].split()
    words = [
        argument
        for argument in arguments
        if re.fullmatch("[a-z]+", argument) and argument in {"run", "serve", "stream"}
    ]
    command = Path(sys.executable).parent / Path(program).name
    done = subprocess.run([str(command), *words, "--help"], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    for option in (argument for argument in arguments if argument.startswith("-")):
        assert option in done.stdout, f"{unit.name}: {option}"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for unit in UNITS:
        # The programs are where they will be deployed, not here.
        text = unit.read_text(encoding="utf-8").replace("/opt/marquee/.venv/bin", str(Path(sys.executable).parent))
        (tmp_path / unit.name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", *(str(tmp_path / unit.name) for unit in UNITS)],
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if "marquee-" in line]
    assert said == []
