"""Commands about the API keys of the HTTP service: `keys add`, `keys rotate`, `keys list` and `keys revoke`.

Belongs here: their arguments and what is printed. What they do is in `warehouse.keys`. A key is printed once, when
it is made, and is never an argument.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from orchestration.cli.common import JsonFlag, existing, home_of, print_json
from warehouse.keys.file import add_key, read_keys, revoke_keys, rotate_key
from warehouse.keys.key import NAME, Scope
from warehouse.logs import say

commands = typer.Typer(no_args_is_help=True, help="API keys of the HTTP service: who may ask, and send events.")


def _checked(name: str) -> str:
    if not re.fullmatch(NAME, name):
        raise typer.BadParameter("a name has 1 to 64 letters, digits, dots, dashes and underscores, and is no key")
    return name


Name = Annotated[str, typer.Argument(metavar="NAME", callback=_checked, help="Whose key it is.")]


@commands.command()
def add(
    context: typer.Context,
    name: Name,
    scope: Annotated[
        list[Scope],
        typer.Option(help="What it opens: read (lists, films, release), events (POST /events), admin (/metrics)."),
    ],
    per_second: Annotated[
        float | None, typer.Option(min=0.01, help="Requests a second on average; default: key_rate_per_second.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a key and print it; only its hash is kept. The service knows it within a second."""
    _print_key(name, add_key(existing(home_of(context)), name, scope, per_second), as_json)


@commands.command()
def rotate(
    context: typer.Context,
    name: Name,
    old_hours: Annotated[float, typer.Option(min=0, max=8760, help="How long the key of before goes on.")] = 24.0,
    as_json: JsonFlag = False,
) -> None:
    """Make another key of the same name and scopes and print it; the one before ends a little later."""
    old_until = datetime.now(UTC) + timedelta(hours=old_hours)
    text = rotate_key(existing(home_of(context)), name, old_until)
    say(f"the key before ends at {old_until:%Y-%m-%d %H:%M:%S} UTC")
    _print_key(name, text, as_json)


def _print_key(name: str, text: str, as_json: bool) -> None:
    if as_json:
        print_json({"name": name, "key": text})
        return
    say(f"the key {name}, shown this once; send it as Authorization: Bearer KEY")
    print(text)


@commands.command("list")
def list_keys(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List keys: name, scopes, since when and until when; never the keys themselves."""
    now = datetime.now(UTC)
    keys = [key for key in read_keys(existing(home_of(context))) if key.is_valid(now)]
    if as_json:
        shown = {"id", "name", "scopes", "per_second", "created_at", "valid_until"}
        print_json({"keys": [key.model_dump(mode="json", include=shown) for key in keys]})
        return
    if not keys:
        print("no keys; make one with: marquee keys add NAME --scope read")
    for key in keys:
        limit = f"  {key.per_second:g} a second" if key.per_second else ""
        end = f"  until {key.valid_until:%Y-%m-%d %H:%M}" if key.valid_until else ""
        print(
            f"{key.name:<24} mq_{key.id}  {','.join(key.scopes):<18}  since {key.created_at:%Y-%m-%d %H:%M}{end}{limit}"
        )


@commands.command()
def revoke(context: typer.Context, name: Name) -> None:
    """Take all keys of a name away; the service refuses them within a second."""
    count = revoke_keys(existing(home_of(context)), name)
    print(f"{count} key{'s' if count > 1 else ''} of {name} revoked")
