"""Commands about object storage: `publish` and `pull`; and what promoting and retiring add where there is a store.

Belongs here: their arguments and what is printed. What they do is in `warehouse.store`.
"""

from pathlib import Path
from typing import Annotated

import typer

from orchestration.cli.common import JsonFlag, existing, home_of, print_json
from recommender.errors import UsageError
from warehouse.home import Home
from warehouse.logs import say
from warehouse.store.client import STORE_VARIABLE, store_address

commands = typer.Typer()


class NoStoreError(UsageError):
    """No store was named; the message says how to name one."""


@commands.command()
def publish(context: typer.Context, as_json: JsonFlag = False) -> None:
    """Send the live release to the store of MARQUEE_STORE, as far as it is not there; delete retired ones there."""
    home, url = existing(home_of(context)), store_address()
    if not url:
        raise NoStoreError(f"no store is set; name one: {STORE_VARIABLE}=s3://bucket/prefix")
    _publish(home, url, as_json)


def publish_where_set(home: Home) -> None:
    """Publish after a change of what is live or kept, if there is a store; what was changed here stays changed."""
    if url := store_address():
        _publish(home, url, as_json=False)


def _publish(home: Home, url: str, as_json: bool) -> None:
    from warehouse.store.upload import publish as publish_now

    done = publish_now(home, url, notify=say)
    if as_json:
        print_json(done._asdict())
        return
    sent = f"{done.files} files, {done.bytes / 1e6:.1f} MB sent in {done.seconds:.1f} s"
    sent += f"; {done.copied} taken from the release before" if done.copied else ""
    word = sent if done.files or done.copied else "its files were there" if done.changed else "it was already"
    print(f"{done.release} is live in {url}: {word}")
    if done.events:
        print(f"{done.events} events of service machines taken in")
    if done.retired:
        print(f"deleted there: {', '.join(done.retired)}")


@commands.command()
def pull(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder for the database; made if need be.")],
    store: Annotated[
        str | None, typer.Option("--from", metavar="STORE", help="s3://bucket/prefix, say; default: MARQUEE_STORE.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Fetch the live release's database from a store, verified, as DIR/current.duckdb."""
    from warehouse.store.pull import pull as pull_now

    url = store_address(store)
    if not url:
        raise NoStoreError(f"no store is named; use --from s3://bucket/prefix, or set {STORE_VARIABLE}")
    pulled = pull_now(url, directory.absolute(), notify=say)
    if as_json:
        print_json({**pulled._asdict(), "link": str(directory.absolute() / "current.duckdb")})
    else:
        fetched = f"{pulled.bytes / 1e6:.1f} MB in {pulled.seconds:.1f} s" if pulled.bytes else "it was there already"
        print(f"{directory / 'current.duckdb'} is {pulled.release} ({fetched})")
