"""The command `marquee`: what a person or a script can ask of the platform without a daemon.

Belongs here: arguments, exit codes and what is printed. What is done is done by jobs (`orchestration.instance`) or by
`warehouse`. Results go to stdout, progress and errors to stderr. Exit 0: done. 1: the data or a check said no, with
the reason. 2: wrong usage.
"""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import duckdb
import typer
from sqlalchemy.exc import DBAPIError

from recommender.errors import MarqueeError, UsageError
from recommender.parameters import make_parameters
from warehouse.database import Warehouse, open_warehouse
from warehouse.home import Home
from warehouse.logs import LogFormError, as_json, say
from warehouse.releases.challenger import challenge, withdraw
from warehouse.releases.doctor import examine
from warehouse.releases.reader import compare_releases, example_pairs, open_release
from warehouse.releases.registry import acting_user, list_releases, live_release, promote, repair, retire, rollback

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Batch film recommendations: from ratings to a checked, versioned, live release.",
)

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else there.")]
Preset = Annotated[str, typer.Option("--preset", help="Named parameter values: default or book.")]
Settings = Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="Set a parameter; may be repeated.")]
Why = Annotated[str, typer.Option("--why", help="The reason, for the record.")]


@dataclass
class _State:
    """The home that `--home` chose; set once per invocation."""

    home: Home


@app.callback()
def _main(
    context: typer.Context,
    home: Annotated[
        Path | None, typer.Option(help="Folder of the installation; default: MARQUEE_HOME, else ./var.")
    ] = None,
) -> None:
    try:
        as_json()
    except LogFormError as error:
        raise typer.BadParameter(str(error)) from None
    context.obj = _State(Home.find(home))


def _home(context: typer.Context) -> Home:
    state: _State = context.obj
    return state.home


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn what the data, a check or the file system says into one line on stderr and exit code 1."""
    try:
        yield
    except UsageError as error:
        say(f"marquee: {error}", logging.ERROR)
        raise typer.Exit(2) from None
    except (MarqueeError, OSError, duckdb.Error) as error:
        say(f"marquee: {error}", logging.ERROR)
        raise typer.Exit(1) from None
    except DBAPIError as error:  # Dagster's records: a full disk, a lost database
        say(f"marquee: Dagster's records cannot be written: {error.orig}", logging.ERROR)
        raise typer.Exit(1) from None


@contextmanager
def _writing(home: Home, purpose: str) -> Iterator[Warehouse]:
    """Open the warehouse and mend what a writer that died left behind, as every run does."""
    with open_warehouse(home, purpose, notify=say) as warehouse:
        for line in repair(warehouse):
            say(f"repaired: {line}")
        yield warehouse


def _print_json(value: Any) -> None:
    print(json.dumps(value, default=str))


@app.command()
def run(
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Option(help="sample, a folder, a zip, a URL or a known name. Default: what the home holds, else sample."),
    ] = None,
    replace_source: Annotated[bool, typer.Option(help="Swap all raw tables if the home holds another source.")] = False,
    preset: Preset = "default",
    settings: Settings = [],  # noqa: B006  (typer reads the default, nobody changes it)
    as_json: JsonFlag = False,
) -> None:
    """Load the source if need be, retrain, recommend for all pairs, check, and go live."""
    from orchestration.cli.jobs_run import full_run

    home = _home(context)
    with _refusals():
        parameters = make_parameters(preset, settings)
        report = full_run(home, source, replace_source, parameters)
        if as_json:
            _print_json(report)
        else:
            _print_run(home, report)
    if report["state"] == "rejected":
        raise typer.Exit(1)


def _print_run(home: Home, report: dict[str, Any]) -> None:
    """Say what came of a run, show a taste of it, and what to try next."""
    for error in report["errors"]:
        say(f"marquee: {error}", logging.ERROR)
    if report["state"] == "rejected":
        names = ", ".join(report["failed_checks"]) or "none"
        staged = f"{report['release']} did not go live" if report["release"] else "no release was staged"
        say(f"rejected: {staged}. Failed checks: {names}", logging.ERROR)
        if report["report"]:
            say(f"report: {report['report']}")
        live = live_release(home)
        say(f"still live: {live}" if live else "nothing is live")
        return
    word = "is live" if report["state"] == "live" else "was live already: nothing has changed"
    print(f"\nRelease {report['release']} {word} ({report['seconds']['total']:.1f} s).")
    print(f"Database: {home.current}\n")
    with open_release(home) as con:
        for example in example_pairs(con):
            liked = " and ".join(film["title"] for film in example["pair"])
            print(f"  Whoever likes {liked} may like")
            for film in example["recommendations"]:
                print(f"      {film['title']} ({film['votes']} votes)")
    print(
        "\nTry next:\n"
        "  make dev                                          the asset graph, http://127.0.0.1:3000\n"
        '  marquee query "FROM recommend_pair(1, 260)"       SQL on the live release\n'
        "  marquee recommend 1 260                           any films\n"
        "  marquee serve                                     HTTP service and sign-up page"
    )


@app.command()
def refresh(
    context: typer.Context,
    preset: Preset = "default",
    settings: Settings = [],  # noqa: B006
    as_json: JsonFlag = False,
) -> None:
    """Recommend from the likes as they are now, without retraining: what the hourly schedule does."""
    from orchestration.cli.jobs_run import refresh as refresh_now

    home = _home(context)
    with _refusals():
        report = refresh_now(home, make_parameters(preset, settings))
        if as_json:
            _print_json(report)
        else:
            _print_run(home, report)
    if report["state"] == "rejected":
        raise typer.Exit(1)


@app.command()
def ingest(
    context: typer.Context,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="CSV or Parquet files with MovieLens columns.")
    ],
    preset: Preset = "default",
    settings: Settings = [],  # noqa: B006
    as_json: JsonFlag = False,
) -> None:
    """Take in files of new ratings, each content once; a refresh then recommends from them."""
    from orchestration.cli.jobs_run import ingest_files

    with _refusals():
        report = ingest_files(_home(context), [file.absolute() for file in files], make_parameters(preset, settings))
        if as_json:
            _print_json(report)
        else:
            for file in report["files"]:
                state = "known already, nothing to do" if file["known"] else f"{file['accepted']:,} ratings taken in"
                print(f"{file['file']}: {state}, {file['rejected']:,} rows turned away")
            for error in report["errors"]:
                say(f"marquee: {error}", logging.ERROR)
    if report["errors"]:
        raise typer.Exit(1)


@app.command()
def releases(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List releases, newest first: state, age, size, who put it there and why; and the report of each."""
    entries = list_releases(_home(context))
    if as_json:
        _print_json({"releases": entries})
        return
    if not entries:
        print("no releases yet; make one with: marquee run")
    for entry in entries:
        last = entry["events"][-1]
        age = datetime.now(UTC).replace(tzinfo=None) - datetime.fromisoformat(entry["created_at"])
        print(
            f"{entry['release']}  {entry['state']:<11} {age.total_seconds() / 3600:7.1f} h "
            f"{entry['bytes'] / 1e6:9.1f} MB  {entry['source']} ({entry['genome_source']})  "
            f"{last['event']} by {last['who']}: {last['why']}"
        )
        if entry["report"]:
            print(f"    report: {entry['report']}")


@app.command(name="promote")
def promote_command(
    context: typer.Context,
    release: Annotated[str, typer.Argument(help="Name of a staged or superseded release.")],
    why: Why = "",
    force: Annotated[bool, typer.Option(help="In spite of failed checks; needs --why.")] = False,
    challenger: Annotated[
        bool, typer.Option("--challenger", help="Put it beside the live one, as published/challenger.duckdb.")
    ] = False,
) -> None:
    """Make a release the live one, or the challenger; refuses what has not passed every blocking check."""
    from checks.release.suite import REQUIRED_CHECKS

    act, role = (challenge, "the challenger") if challenger else (promote, "live")
    with _refusals(), _writing(_home(context), f"promote {release}") as warehouse:
        changed = act(warehouse, release, REQUIRED_CHECKS, who=acting_user(), why=why, force=force)
    print(f"{release} is {role}" if changed else f"{release} was {role} already")


@app.command(name="withdraw")
def withdraw_command(context: typer.Context, why: Why = "") -> None:
    """Have no challenger any more; the live release is not touched."""
    with _refusals(), _writing(_home(context), "withdraw") as warehouse:
        print(f"{withdraw(warehouse, who=acting_user(), why=why)} is no longer the challenger")


@app.command(name="rollback")
def rollback_command(context: typer.Context, why: Why = "") -> None:
    """Go back to the release that was live before; recomputes nothing."""
    with _refusals(), _writing(_home(context), "rollback") as warehouse:
        left, now = rollback(warehouse, who=acting_user(), why=why)
    print(f"{now} is live again instead of {left}")


@app.command(name="retire")
def retire_command(
    context: typer.Context,
    keep: Annotated[int, typer.Option(help="Newest releases to keep, besides the live one and the challenger.")],
    why: Why = "",
) -> None:
    """Delete old releases, and models that no release needs."""
    with _refusals(), _writing(_home(context), "retire") as warehouse:
        gone = retire(warehouse, keep, who=acting_user(), why=why)
    print(
        f"deleted {len(gone.releases)} releases and {len(gone.models)} models, {gone.bytes / 1e6:.1f} MB: "
        f"{', '.join(gone.releases + gone.models) or 'nothing'}"
    )


@app.command()
def diff(
    context: typer.Context,
    release_a: Annotated[str, typer.Argument(metavar="RELEASE_A")],
    release_b: Annotated[str, typer.Argument(metavar="RELEASE_B")],
    as_json: JsonFlag = False,
) -> None:
    """Show what changes for users from one release to another."""
    with _refusals():
        found = compare_releases(_home(context), release_a, release_b)
    if as_json:
        _print_json(found)
        return
    pairs = found["pairs"]
    overlap = found["mean_overlap"]
    print(f"{pairs['in_both']:,} pairs in both, {pairs['changed']:,} of them changed", end="")
    print(f" (mean overlap {overlap:.1%})" if overlap is not None else "")
    print(f"{pairs['only_a']:,} pairs only in {release_a}, {pairs['only_b']:,} only in {release_b}")
    for name in ("model_version", "ratings_fingerprint", "genome_source", "code_version", "parameters"):
        before, after = (side[name] for side in found["releases"])
        if before != after:
            print(f"{name}: {before} -> {after}")
    for metric, sides in found["metrics"].items():
        before, after = ("not measured" if value is None else f"{value:.4g}" for value in sides)
        print(f"{metric}: {before} -> {after}")
    for example in found["examples"]:
        print(f"\n{' + '.join(map(str, example['pair']))}")
        print(f"  {release_a}: {'; '.join(map(str, example['a']))}")
        print(f"  {release_b}: {'; '.join(map(str, example['b']))}")


@app.command()
def evaluate(
    context: typer.Context,
    preset: Preset = "default",
    settings: Settings = [],  # noqa: B006
    search: Annotated[
        bool, typer.Option("--sweep", help="First look for better parameters on validation users; takes minutes.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Measure parameters on users the model has not seen, beside baselines; changes nothing."""
    from orchestration.cli.evaluation import evaluate_home, printed

    with _refusals():
        report = evaluate_home(_home(context), make_parameters(preset, settings), search=search, notify=say)
    if as_json:
        _print_json(report)
    else:
        print(printed(report))


@app.command()
def query(
    context: typer.Context,
    statement: Annotated[str, typer.Argument(metavar="SQL")],
    release: Annotated[str | None, typer.Option(help="A release; default: the live one.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Run SQL on a published release, read-only."""
    with _refusals(), open_release(_home(context), release) as con:
        if as_json:
            found = con.execute(statement)
            _print_json({"columns": [column[0] for column in found.description or []], "rows": found.fetchall()})
        else:
            con.sql(statement).show(max_rows=100, max_width=160)


@app.command()
def recommend(
    context: typer.Context,
    movie_ids: Annotated[list[int], typer.Argument(metavar="MOVIE_ID...", help="1 to 100 films the user likes.")],
    num: Annotated[int, typer.Option("-n", "--num", min=1, max=1000, help="How many films.")] = 10,
    as_json: JsonFlag = False,
) -> None:
    """Recommend films to somebody who likes these, from the model of the live release."""
    from serving.answers import answer

    with _refusals():
        found = answer(_home(context), movie_ids, num)
    if as_json:
        _print_json(found)
        return
    print(f"release {found['release']}, model {found['model_version']}")
    print("likes: " + ", ".join(film["title"] for film in found["input"]))
    if found["unknown"]:
        print("unknown: " + ", ".join(map(str, found["unknown"])))
    for film in found["recommendations"]:
        print(f"{film['rank']:>3}  {film['title']} ({film['votes']} votes)")


@app.command()
def status(context: typer.Context, as_json: JsonFlag = False) -> None:
    """Tell how things are: live release and its age, last runs, next ticks, sizes; never waits for a writer."""
    from orchestration.cli.status import printed_status
    from orchestration.cli.status import status as status_of

    with _refusals():
        found = status_of(_home(context))
    if as_json:
        _print_json(found)
    else:
        print(printed_status(found))


@app.command()
def doctor(context: typer.Context, as_json: JsonFlag = False) -> None:
    """Verify files against their sha256, links, registry, libraries and free disk; say how to mend what is wrong."""
    with _refusals():
        findings = examine(_home(context), say)
    wrong = [finding for finding in findings if finding.state == "wrong"]
    if as_json:
        _print_json({"healthy": not wrong, "findings": [vars(finding) for finding in findings]})
    else:
        for finding in findings:
            print(f"{finding.state:<8} {finding.subject}: {finding.text}")
            if finding.remedy:
                print(f"         -> {finding.remedy}")
        print(f"{len(wrong)} things are wrong" if wrong else "nothing is wrong")
    if wrong:
        raise typer.Exit(1)


@app.command()
def home(context: typer.Context) -> None:
    """Create the folders of the installation, Dagster's included, and say where they are."""
    from orchestration.instance import prepare_instance

    found = _home(context)
    with _refusals(), prepare_instance(found):
        print(f"home          {found.root}\nlanding       {found.landing}\nlive release  {found.current}")
        print(f"DAGSTER_HOME  {found.dagster}")


@app.command()
def serve(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address to bind to; loopback unless told otherwise.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 5000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes; they share the mapped model.")] = 1,
) -> None:
    """Serve the sign-up page and live recommendations over HTTP."""
    from serving.http.server import serve as serve_http

    with _refusals():
        serve_http(_home(context), host=host, port=port, workers=workers)


@app.command()
def synth(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write the CSV files to.")],
    users: int = 283_228,
    movies: int = 58_098,
    ratings: int = 27_700_000,
    genome_movies: int = 13_176,
    seed: int = 1,
    as_json: JsonFlag = False,
) -> None:
    """Write MovieLens-shaped data of any size; the defaults are those of ml-latest of 2018."""
    from benchmarks.synth import generate

    started = time.perf_counter()
    with _refusals():
        written = generate(
            directory, users=users, movies=movies, ratings=ratings, genome_movies=genome_movies, seed=seed
        )
    if as_json:
        _print_json({**vars(written), "seconds": round(time.perf_counter() - started, 2)})
    else:
        print(f"{written} in {time.perf_counter() - started:.1f} s")


def main() -> None:
    """Entry point of the console script."""
    app()
