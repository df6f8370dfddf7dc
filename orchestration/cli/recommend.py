"""Commands that print lists of films from the live release: `recommend` and `similar`.

Belongs here: their arguments and what is printed. Does not belong here: making lists (`serving.sources`).
"""

from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.cli.common import JsonFlag, home_of, print_json
from recommender.errors import UsageError

if TYPE_CHECKING:  # serving takes a while to import
    from serving.pages import Kind

commands = typer.Typer()

LARGEST_ID = 2**31 - 1

Num = Annotated[int, typer.Option("-n", "--num", min=1, max=100, help="How many films.")]
Genre = Annotated[str | None, typer.Option("--genre", help="Only films of this genre.")]
Years = Annotated[str | None, typer.Option("--years", help="Only films of these years: 1990-1999, or one.")]
Exclude = Annotated[list[int], typer.Option("--exclude", metavar="MOVIE_ID", help="A film to leave out; repeatable.")]
Cursor = Annotated[str | None, typer.Option("--cursor", help="Where to go on: cursor of the answer before.")]


@commands.command()
def recommend(
    context: typer.Context,
    movie_ids: Annotated[
        list[int] | None, typer.Argument(metavar="[MOVIE_ID...]", help="1 to 100 liked films.")
    ] = None,
    user: Annotated[
        int | None, typer.Option("--user", min=1, max=LARGEST_ID, help="A user of the ratings, instead of films.")
    ] = None,
    num: Num = 10,
    genre: Genre = None,
    years: Years = None,
    exclude: Exclude = [],  # noqa: B006  (typer reads the default, nobody changes it)
    seen: Annotated[str, typer.Option("--seen", help="keep: also films that are named, rated or liked.")] = "drop",
    cursor: Cursor = None,
    as_json: JsonFlag = False,
) -> None:
    """Recommend films to a user, or to somebody who likes these films, from the model of the live release."""
    if (user is None) == (not movie_ids):
        raise UsageError("name films or a user: marquee recommend MOVIE_ID... or marquee recommend --user ID")
    shared = {"num": num, "genre": genre, "years": years, "exclude": exclude, "seen": seen, "cursor": cursor}
    if user is None:
        _print_list(context, as_json, "recommend", (), ids=movie_ids, **shared)
    else:
        _print_list(context, as_json, "users", (user,), **shared)


@commands.command()
def similar(
    context: typer.Context,
    movie_id: Annotated[int, typer.Argument(min=1, max=LARGEST_ID, help="A film.")],
    num: Num = 10,
    genre: Genre = None,
    years: Years = None,
    exclude: Exclude = [],  # noqa: B006
    cursor: Cursor = None,
    as_json: JsonFlag = False,
) -> None:
    """List films similar to one, from the live release."""
    shared = {"num": num, "genre": genre, "years": years, "exclude": exclude, "cursor": cursor}
    _print_list(context, as_json, "similar", (movie_id,), **shared)


def _print_list(
    context: typer.Context, as_json: bool, kind: "Kind", subject: tuple[int, ...], **parameters: object
) -> None:
    """Answer a question about a list from the live release."""
    from serving.answers import answer, asked_list

    found = answer(home_of(context), asked_list(kind, subject, **parameters))
    if as_json:
        print_json(found)
        return
    print(f"release {found['release']}, model {found['model_version']}, from {found['source']}")
    if found["input"]:
        more = f" and {found['inputs'] - len(found['input'])} more" if found["inputs"] > len(found["input"]) else ""
        label = "similar to" if kind == "similar" else "likes"
        print(f"{label}: " + ", ".join(film["title"] for film in found["input"]) + more)
    if found["unknown"]:
        print("unknown: " + ", ".join(map(str, found["unknown"])))
    if found["films_left"] is not None:
        print(f"films left by the filters: {found['films_left']}")
    for film in found["recommendations"]:
        facts = [] if film["votes"] is None else [f"{film['votes']} votes"]
        if kind != "similar":
            facts += [f"{100 * reason['share']:.0f}% {reason['title'] or 'others'}" for reason in film["because"]]
        facts += [f"in common: {' · '.join(film['common_tags'])}"] if film["common_tags"] else []
        print(f"{film['rank']:>3}  {film['title']}" + (f" ({', '.join(facts)})" if facts else ""))
