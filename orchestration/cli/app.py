"""The command `marquee`: what a person or a script can ask of the platform without a daemon.

Belongs here: the entry point and the options before the command. The commands are in `run`, `releases`, `inspect`,
`docs`, `recommend`, `serve`, `keys`, `store` and `recovery`, by what they are about. Results go to stdout, progress
and errors to stderr. Exit 0: done. 1: the data, a check or the machine said no, with the reason. 2: wrong usage. A bug
keeps its traceback.
"""

import os
import signal
from pathlib import Path
from typing import Annotated

import typer

from orchestration.cli import docs, experiments, inspect, keys, recommend, recovery, releases, run, serve, store
from orchestration.cli.common import one_line_errors
from warehouse.home import HOME_VARIABLE, Home
from warehouse.logs import LogFormError, as_json

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Batch film recommendations: from ratings to a checked, versioned, live release.",
)
for group in (run, releases, inspect, docs, recommend, serve, store, recovery):
    app.add_typer(group.commands)
app.add_typer(keys.commands, name="keys")
app.add_typer(experiments.commands, name="experiment")


@app.callback()
def _main(
    context: typer.Context,
    home: Annotated[
        Path | None, typer.Option(help="Folder of the installation; default: MARQUEE_HOME, else ./var.")
    ] = None,
) -> None:
    try:
        as_json()
    except LogFormError as error:  # told by typer: our own lines need to know their form
        raise typer.BadParameter(str(error)) from None
    context.obj = Home.find(home)
    os.environ[HOME_VARIABLE] = str(context.obj.root)  # the definitions are those of this home


def main() -> None:
    """Entry point of the console script."""
    # In the background of a script SIGINT is ignored. Dagster would copy that to SIGTERM, and only a kill would end us.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with one_line_errors():
        app(prog_name="marquee")
