"""Commands that only look: `query`, `status`, `doctor`, `parameters` and `home`.

Belongs here: their arguments and what is printed. `home` also creates the folders it names.
"""

import sys
from csv import writer as csv_writer
from itertools import chain, islice
from pathlib import Path
from typing import Annotated

import duckdb
import typer

from orchestration.cli.common import JsonFlag, Preset, Settings, existing, home_of, print_json
from recommender.errors import MarqueeError
from recommender.parameters import read_settings
from warehouse.files import TEMPORARY, appear
from warehouse.home_parameters import PARAMETERS_FILE, home_parameters
from warehouse.logs import say
from warehouse.releases.reader import open_release

commands = typer.Typer()


TABLE_ROWS = 100
"""Rows of a result that are printed as a table unless `--rows` says otherwise."""

SUFFIXES = (".csv", ".parquet")
"""Of the files that `--output` writes."""


class QueryError(MarqueeError):
    """DuckDB cannot run the SQL it was given; the message is DuckDB's."""


@commands.command()
def query(
    context: typer.Context,
    statement: Annotated[str, typer.Argument(metavar="SQL")],
    release: Annotated[str | None, typer.Option(help="A release; default: the live one.")] = None,
    rows: Annotated[
        int | None, typer.Option(min=1, help="At most so many rows; default: 100 in the table, elsewhere all.")
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV on stdout.")] = False,
    output: Annotated[Path | None, typer.Option(help="Write to this file instead: .csv or .parquet.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Run SQL on a published release, read-only; print a table, CSV or JSON, or write a file."""
    if output is not None and output.suffix not in SUFFIXES:
        raise typer.BadParameter(f"{output}: name a file that ends in {' or '.join(SUFFIXES)}", param_hint="--output")
    with open_release(home_of(context), release) as con:
        try:
            if csv:
                _print_csv(con.execute(statement), rows)
                return
            found = con.sql(statement)
            if found is None:  # a statement without a result
                return
            found = found if rows is None else found.limit(rows)
            if output is not None:
                _write(found, output)
            elif as_json:
                print_json({"columns": found.columns, "rows": found.fetchall()})
            else:
                found.show(max_rows=rows or TABLE_ROWS, max_width=160)
        except duckdb.Error as error:
            raise QueryError(str(error)) from None


def _write(found: duckdb.DuckDBPyRelation, output: Path) -> None:
    """Write a result to a file, which is there when it is complete."""
    temporary = output.parent / f"{TEMPORARY}{output.name}"
    try:
        if output.suffix == ".csv":
            found.write_csv(str(temporary))
        else:
            found.write_parquet(str(temporary))
        appear(temporary, output)
    finally:
        temporary.unlink(missing_ok=True)


def _print_csv(found: duckdb.DuckDBPyConnection, rows: int | None) -> None:
    """Print a result as CSV, as it comes; NULL is an empty field."""
    writer = csv_writer(sys.stdout, lineterminator="\n")
    writer.writerow(column[0] for column in found.description or [])
    batches = iter(lambda: found.fetchmany(10_000), [])
    writer.writerows(islice(chain.from_iterable(batches), rows))


@commands.command()
def status(context: typer.Context, as_json: JsonFlag = False) -> None:
    """Tell how things are: live release and its age, last runs, next ticks, sizes; never waits for a writer."""
    from orchestration.cli.home_status import home_status, printed_status

    found = home_status(existing(home_of(context)))
    if as_json:
        print_json(found)
    else:
        print(printed_status(found))


@commands.command()
def doctor(context: typer.Context, as_json: JsonFlag = False) -> None:
    """Verify files, links, registry, working database, libraries and free disk; say how to repair what is wrong."""
    from warehouse.releases.doctor import examine

    findings = examine(home_of(context), say)
    wrong = [finding for finding in findings if finding.state == "wrong"]
    if as_json:
        print_json({"healthy": not wrong, "findings": [vars(finding) for finding in findings]})
    else:
        for finding in findings:
            print(f"{finding.state:<8} {finding.subject}: {finding.text}")
            if finding.remedy:
                print(f"         -> {finding.remedy}")
        print(f"{len(wrong)} {'thing is' if len(wrong) == 1 else 'things are'} wrong" if wrong else "nothing is wrong")
    if wrong:
        raise typer.Exit(1)


@commands.command()
def parameters(
    context: typer.Context,
    preset: Preset = None,
    settings: Settings = [],  # noqa: B006  (typer reads the default, nobody changes it)
    as_json: JsonFlag = False,
) -> None:
    """Show the model parameters a run of this home uses, and where each value comes from."""
    home = home_of(context)
    found = home_parameters(home, read_settings(preset, settings))
    if as_json:
        rows = {name: {"value": value, "from": found.origins[name]} for name, value in found.model_dump().items()}
        print_json({"file": str(home.root / PARAMETERS_FILE), "parameters": rows})
        return
    print(f"asked for (--set, --preset), else {home.root / PARAMETERS_FILE}, else the default:\n")
    for name, value in found.model_dump().items():
        print(f"{name:<18} {value!s:<8} {found.origins[name]}")


@commands.command()
def home(context: typer.Context) -> None:
    """Create the folders of the installation, Dagster's included, and say where they are."""
    from orchestration.instance import prepare_instance

    found = home_of(context)
    with prepare_instance(found):
        print(f"home          {found.root}\nlanding       {found.landing}\nlive release  {found.current}")
        print(f"DAGSTER_HOME  {found.dagster}")
