"""What all commands share: the home, common options, opening the warehouse, and how errors are shown.

Belongs here: what more than one command module needs. An error a user can put right becomes one line on stderr; a bug
keeps its traceback. Modules that take long to import (numba, Dagster) are imported where they are used, so that
`marquee --help` answers at once.
"""

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import duckdb
import typer

from orchestration.errors import machine_error
from recommender.errors import MarqueeError, UsageError
from recommender.parameters import read_settings
from warehouse.database import Warehouse, open_warehouse
from warehouse.home import Home
from warehouse.home_parameters import home_parameters
from warehouse.logs import say

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else there.")]
Preset = Annotated[str | None, typer.Option("--preset", help="Named parameter values: default or book.")]
Settings = Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="Set a parameter; may be repeated.")]
Why = Annotated[str, typer.Option("--why", help="The reason, for the record.")]


def home_of(context: typer.Context) -> Home:
    """The home that `--home` chose."""
    found: Home = context.obj
    return found


class NoHomeError(UsageError):
    """The folder that was named is no home, and the command does not make one; the message names it."""


def existing(home: Home) -> Home:
    """The same home; NoHomeError if its folder is not there, or holds something else: a name may be misspelt."""
    if home.published.is_dir() or (home.root.is_dir() and not any(home.root.iterdir())):
        return home
    what = "holds no Marquee home" if home.root.is_dir() else "does not exist"
    raise NoHomeError(f"{home.root} {what}; check --home and MARQUEE_HOME, or make a home there: marquee run")


def asked_parameters(home: Home, preset: str | None, settings: list[str]) -> dict[str, Any]:
    """Parameters asked for by `--preset` and `--set`, as typed values; refused before anything is started."""
    parameters = home_parameters(home, read_settings(preset, settings))
    return {name: value for name, value in parameters.model_dump().items() if parameters.origins[name] == "asked for"}


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Tell an expected error in one line on stderr: exit code 2 for wrong usage, 1 for the data, a check, the machine.

    Expected are errors below `MarqueeError`, and a machine that cannot do it (a full disk, a missing permission).
    Everything else is a bug and goes on as it is.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # whoever reads the output has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except MarqueeError as error:
        say(f"marquee: {error}", logging.ERROR)
        raise SystemExit(2 if isinstance(error, UsageError) else 1) from None
    except Exception as error:
        told = _machine_error(error)
        if told is None:
            raise
        say(f"marquee: {told}", logging.ERROR)
        raise SystemExit(1) from None


def _machine_error(error: Exception) -> str | None:
    """Word an error of the operating system, DuckDB or Dagster's records, if the machine is to blame for it."""
    if isinstance(error, OSError | duckdb.Error):
        return machine_error(str(error), type(error))
    if type(error).__module__ == "sqlalchemy.exc":  # not imported: it takes longer than most commands
        return machine_error(f"Dagster's records cannot be read or written: {getattr(error, 'orig', error)}", "")
    return None


@contextmanager
def writing(home: Home, purpose: str) -> Iterator[Warehouse]:
    """Open the warehouse and repair what a writer that died left behind, as every run does."""
    from warehouse.releases.repair import repair

    with open_warehouse(home, purpose, notify=say) as warehouse:
        for line in repair(warehouse):
            say(f"repaired: {line}")
        yield warehouse


def print_json(value: Any) -> None:
    """Print one JSON object."""
    print(json.dumps(value, default=str))
