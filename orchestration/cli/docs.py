"""The command `docs`: the site of a home, as a folder of pages.

Belongs here: its argument and what is printed. What is on the pages is in `reports`.
"""

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from orchestration.cli.common import JsonFlag, existing, home_of, print_json
from warehouse.errors import MissingExtraError

commands = typer.Typer()


@commands.command()
def docs(
    context: typer.Context,
    directory: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR", help="Folder for the pages: new, empty, or an earlier site. Default: docs/ in the home."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write a site about the releases: data dictionary, lineage, quality, drift, coverage, experiments, queries.

    It is made of the release files and opens from the file system; DIR/index.html is the first page.
    """
    if importlib.util.find_spec("altair") is None or importlib.util.find_spec("vl_convert") is None:
        raise MissingExtraError("the site's charts need Vega-Altair; install it with: pip install 'marquee[docs]'")
    from reports.site import write_site

    home = existing(home_of(context))
    done = write_site(home, directory or home.docs)
    if as_json:
        print_json({**done._asdict(), "index": str(done.folder / "index.html")})
    else:
        size = f"{done.files} files, {done.bytes / 1e6:.1f} MB"
        print(f"{done.folder / 'index.html'}: {size}, tables as of {done.release}")
