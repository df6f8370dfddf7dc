"""The command `rebuild`: making a damaged or lost working database again.

Belongs here: its arguments and what is printed. What it does is in `warehouse.rebuilding`.
"""

from typing import Annotated

import typer

from orchestration.cli.common import JsonFlag, existing, home_of, print_json
from warehouse.logs import say

commands = typer.Typer()


@commands.command()
def rebuild(
    context: typer.Context,
    source: Annotated[
        str | None, typer.Option(help="Where to import the source from again, should its import be gone, too.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make the working database again if it is damaged or gone, from imports, models, releases and their records.

    Readers notice nothing. The damaged file is put aside. The next refresh makes the lists.
    """
    from warehouse.rebuilding.rebuild import rebuild as rebuild_now

    home = existing(home_of(context))
    done = rebuild_now(home, source, say)
    if as_json:
        print_json({**done._asdict(), "rebuilt": bool(done.problems), "database": str(home.warehouse)})
        return
    if not done.problems:
        print(f"{home.warehouse} is whole: nothing to do")
        return
    for problem in done.problems:
        print(f"was wrong     {problem}")
    for path in done.put_aside:
        print(f"put aside     {path}")
    for text in done.lost:
        print(f"not restored  {text}")
    for table, rows in done.rows.items():
        print(f"{table:<20} {rows:>12,} rows")
    print(f"{home.warehouse} was made again in {done.seconds:.1f} s; marquee refresh makes the lists")
