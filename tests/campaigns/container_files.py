"""What deploy/Dockerfile, .dockerignore and deploy/compose.yaml say, as far as these files use the languages.

Belongs here: reading. What is not understood is an error, so that nothing in the files is passed over silently.
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import yaml

UNDERSTOOD = {
    *("build", "cap_drop", "command", "depends_on", "environment", "healthcheck", "image", "ports", "profiles"),
    *("read_only", "restart", "security_opt", "stop_grace_period", "tmpfs", "volumes"),
}
"""Keys of a service. Of these `build`, `depends_on`, `healthcheck`, `ports` and `restart` are an engine's to act on."""


class Copy(NamedTuple):
    """A COPY: from the folder of the checkout, or from an earlier stage."""

    sources: list[str]
    target: str
    stage: str
    owner: str


class Step(NamedTuple):
    """An instruction of a Dockerfile on one line."""

    name: str
    text: str

    def base(self) -> tuple[str, str, str]:
        """Of a FROM: version of Python, Debian's suite, name of the stage."""
        found = re.fullmatch(r"python:(3\.\d+)-slim-([a-z]+)(?: AS (\w+))?", self.text)
        assert found, f"not a slim Python image of a named Debian: {self.text}"
        version, suite, name = found.groups()
        return version, suite, name or ""

    def copy(self) -> Copy:
        """Of a COPY."""
        words = shlex.split(self.text)
        options = dict(word[2:].split("=", 1) for word in words if word.startswith("--"))
        *sources, target = [word for word in words if not word.startswith("--")]
        stage, owner = options.pop("from", ""), options.pop("chown", "")
        assert not options, self.text
        return Copy(sources, target, stage, owner)

    def variables(self, known: Mapping[str, str]) -> dict[str, str]:
        """Of an ENV, with the known variables put in."""
        pairs = (word.split("=", 1) for word in shlex.split(self.text))
        return {name: Template(value).substitute(known) for name, value in pairs}


def read_dockerfile(path: Path) -> Iterator[Step]:
    """Instructions in order."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for line in re.sub(r"\s*\\\n\s*", " ", text).splitlines():
        if line.strip():
            name, _, rest = line.partition(" ")
            yield Step(name, rest.strip())


def files_of_context(root: Path, sources: Iterable[str]) -> Iterator[tuple[Path, str]]:
    """Files that a COPY takes from the checkout, each with its name below the target; .dockerignore decides."""
    patterns = [line for line in (root / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    for source in sources:
        if (root / source).is_file():
            assert not is_ignored(source, patterns), f".dockerignore leaves out {source}"
            yield root / source, Path(source).name
            continue
        assert source == ".", f"only files and the whole checkout are understood: {source}"
        for top in sorted(root.iterdir()):
            if not is_ignored(top.name, patterns):
                for path in [top] if top.is_file() else sorted(top.rglob("*")):
                    name = str(path.relative_to(root))
                    if path.is_file() and not is_ignored(name, patterns):
                        yield path, name


def is_ignored(name: str, patterns: Iterable[str]) -> bool:
    """Whether the last pattern that matches a path, or a folder above it, leaves it out."""
    path, ignored = Path(name), False
    names = [str(path), *map(str, path.parents)][: len(path.parts)]
    for pattern in patterns:
        if any(fnmatchcase(name, pattern.removeprefix("!")) for name in names):
            ignored = not pattern.startswith("!")
    return ignored


@dataclass(frozen=True)
class Service:
    """What compose.yaml says of a service; `volumes` are names by place."""

    command: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    volumes: dict[str, str] = field(default_factory=dict)
    tmpfs: list[str] = field(default_factory=list)
    read_only: bool = False
    drops_rights: bool = False
    grace_seconds: int = 10


def read_compose(path: Path, environment: Mapping[str, str]) -> dict[str, Service]:
    """Services by name, with variables put in as ``docker compose`` does."""

    def put_in(found: re.Match[str]) -> str:
        name, kind, rest = found.groups()
        if name is None:
            return "$"
        assert kind != "?" or name in environment, f"{name}: {rest}"
        return environment.get(name) or rest or ""

    text = re.sub(r"\$\$|\$\{(\w+):([?-])([^}]*)\}", put_in, path.read_text(encoding="utf-8"))
    return {name: _service(name, said) for name, said in yaml.safe_load(text)["services"].items()}


def _service(name: str, said: dict[str, Any]) -> Service:
    assert set(said) <= UNDERSTOOD, f"{name}: {set(said) - UNDERSTOOD} is not understood"
    places = dict(reversed(volume.split(":")) for volume in said.get("volumes", []))
    safe = said.get("cap_drop") == ["ALL"] and "no-new-privileges:true" in said.get("security_opt", [])
    return Service(
        command=said.get("command", []),
        environment={key: value or "" for key, value in said.get("environment", {}).items()},
        volumes=places,
        tmpfs=said.get("tmpfs", []),
        read_only=said.get("read_only", False),
        drops_rights=safe,
        grace_seconds=int(said.get("stop_grace_period", "10s").removesuffix("s")),
    )
