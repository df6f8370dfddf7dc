"""A home's targets: `exports.toml`, one table per target with its address, tables and how many releases are kept.

Belongs here: reading that file. Does not belong here: connecting to what it names.

::

    [product]                                   # the name of the asset exports/product
    url = "postgresql://marquee@db/films"       # the password: PGPASSFILE, or ${NAME} in the address
    tables = ["movies", "pair_recommendations"] # default: all
    keep = 3                                    # default: that of the kind of target
"""

import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from recommender.errors import UsageError
from warehouse.exports.address import Address, TargetError
from warehouse.exports.export import ExportSpec
from warehouse.exports.release_file import EXPORTED
from warehouse.home import Home

SETTINGS_FILE = "exports.toml"
NAME = re.compile(r"^[a-z][a-z0-9_]*$")


class ExportSettingsError(UsageError):
    """The file of targets cannot be; the message names it, the target and the value."""


class _Target(BaseModel):
    model_config = ConfigDict(extra="forbid")

    url: Annotated[str, StringConstraints(min_length=1)]
    tables: list[str] = Field(default=list(EXPORTED))
    keep: int | None = Field(default=None, ge=1)

    @field_validator("tables")
    @classmethod
    def _known(cls, tables: list[str]) -> list[str]:
        unknown = sorted(set(tables) - set(EXPORTED))
        if unknown:
            raise ValueError(f"{', '.join(unknown)} cannot be exported; known are {', '.join(EXPORTED)}")
        return tables


def configured_targets(home: Home) -> dict[str, ExportSpec]:
    """Targets of a home by name; none without the file.

    Raises
    ------
    ExportSettingsError
        Without the value of an address in the message: it may hold a password.
    TargetError
        If there is no kind of target for an address.
    """
    path = home.root / SETTINGS_FILE
    try:
        written = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ExportSettingsError(f"{path} cannot be read: {error}") from None
    return {name: _spec(home, name, values) for name, values in written.items()}


def _spec(home: Home, name: str, values: Any) -> ExportSpec:
    path = home.root / SETTINGS_FILE
    if not NAME.match(name):
        raise ExportSettingsError(f"{path}: {name}: a name has small letters, digits and _, and begins with a letter")
    try:
        target = _Target.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join([name, *map(str, first["loc"])])
        raise ExportSettingsError(f"{path}: {place}: {first['msg']}") from None
    address = Address(target.url)
    if address.kind == "parquet" and not address.scheme:
        address = Address(str(home.root / target.url))  # runs have no folder of their own that one could rely on
    return ExportSpec(address, tuple(target.tables), target.keep)


def asked_target(home: Home, text: str, keep: int | None = None) -> ExportSpec:
    """What a command names: a target of the home's file, else an address or a folder.

    Raises
    ------
    TargetError
        Also for a single word that is neither a target nor a folder: a name may be misspelt.
    """
    known = configured_targets(home)
    if text in known:
        return replace(known[text], keep=keep or known[text].keep)
    address = Address(text)
    if address.kind == "parquet" and known and NAME.match(text) and not Path(text).is_dir():
        raise TargetError(
            f"{home.root / SETTINGS_FILE} has no target {text}, only {', '.join(known)}; for a folder write ./{text}"
        )
    return ExportSpec(address, keep=keep)
