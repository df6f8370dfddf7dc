"""Commands that compute: `run`, `refresh`, `compute`, `ingest` and `evaluate`.

Belongs here: their arguments, exit codes and what is printed. What they do is in `orchestration.cli.launch` and
`orchestration.cli.evaluation_report`.
"""

import logging
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from orchestration.cli.common import JsonFlag, Preset, Settings, asked_parameters, existing, home_of, print_json
from recommender.errors import UsageError
from warehouse.home import Home
from warehouse.logs import say
from warehouse.releases.reader import example_pairs, open_release

commands = typer.Typer()

EngineWorkers = Annotated[
    Literal["local", "ray"],
    typer.Option(help="Who computes lists: threads of this process, or Ray. Same rows."),
]
RayAddress = Annotated[
    str, typer.Option(help="HOST:PORT of a Ray cluster this machine belongs to; default: Ray is started here.")
]


@commands.command()
def run(
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Option(help="sample, a folder, a zip, a URL or a known name. Default: what the home holds, else sample."),
    ] = None,
    replace_source: Annotated[bool, typer.Option(help="Swap all raw tables if the home holds another source.")] = False,
    preset: Preset = None,
    settings: Settings = [],  # noqa: B006  (typer reads the default, nobody changes it)
    engine_workers: EngineWorkers = "local",
    ray_address: RayAddress = "",
    as_json: JsonFlag = False,
) -> None:
    """Load the source if need be, retrain, recommend for all pairs, check, and go live."""
    from orchestration.cli.launch import full_run

    home, workers = home_of(context), asked_workers(engine_workers, ray_address)
    _show(home, full_run(home, source, replace_source, asked_parameters(home, preset, settings), workers), as_json)


@commands.command()
def refresh(
    context: typer.Context,
    preset: Preset = None,
    settings: Settings = [],  # noqa: B006
    engine_workers: EngineWorkers = "local",
    ray_address: RayAddress = "",
    as_json: JsonFlag = False,
) -> None:
    """Recommend from the likes as they are now, without retraining: what the hourly schedule does."""
    from orchestration.cli.launch import refresh as refresh_now

    home, workers = home_of(context), asked_workers(engine_workers, ray_address)
    asked = asked_parameters(home, preset, settings)
    _show(home, refresh_now(existing(home), asked, workers), as_json)


def asked_workers(engine: str, address: str) -> dict[str, str]:
    """Configuration of who computes lists, as asked for on the command line; refused before anything is started."""
    if engine == "ray":
        from warehouse.compute.ray_nodes import require_ray

        require_ray()
    elif address:
        raise UsageError("--ray-address goes with --engine-workers ray")
    return {"engine_workers": engine, "ray_address": address}


@commands.command()
def compute(
    pack: Annotated[Path, typer.Argument(help="Folder of a pack, work/VERSION/pack of a home or a copy of it.")],
    unit: Annotated[str, typer.Argument(help="pairs, users, similar or evaluation, a dash, shards; as in pairs-0.8.")],
    out: Annotated[Path, typer.Argument(help="Folder for the finished unit: work/VERSION of the home, or another.")],
    threads: Annotated[int | None, typer.Option(min=1, help="Default: one per core.")] = None,
) -> None:
    """Compute one unit of work from a pack alone, in this process: what a container or a pod of its own does."""
    from warehouse.compute.packs import PackError, damaged_files, read_manifest
    from warehouse.compute.unit_files import finish, write_unit
    from warehouse.compute.units import Unit, WorkPack

    wanted = Unit.named(unit)
    if wrong := damaged_files(pack, read_manifest(pack)):
        raise PackError(f"{pack} is not as it was written: {', '.join(wrong)} differ; copy it again")
    finished = finish(WorkPack(pack, threads), wanted)
    out.mkdir(parents=True, exist_ok=True)
    write_unit(out, wanted, finished)
    say(f"{wanted.name}: {finished.record.rows:,} rows in {finished.record.seconds} s, sha256 {finished.record.sha256}")


def _show(home: Home, report: dict[str, Any], as_json: bool) -> None:
    """Print the report of a run; exit 1 unless a release is live, and wherever it should be."""
    if as_json:
        print_json(report)
    elif report["state"] in {"rejected", "failed"}:
        _say_what_stays(home, report)
    else:
        _print_run(home, report)
        for error in report["errors"]:
            say(f"marquee: {error}", logging.ERROR)
    if report["state"] in {"rejected", "failed"} or report["errors"]:
        raise typer.Exit(1)


def _say_what_stays(home: Home, report: dict[str, Any]) -> None:
    """Say what went wrong, what became of the release and what stays live."""
    from warehouse.releases.registry import live_release

    for error in report["errors"]:
        say(f"marquee: {error}", logging.ERROR)
    staged = f"{report['release']} did not go live" if report["release"] else "no release was staged"
    checks = f". Failed checks: {', '.join(report['failed_checks'])}" if report["failed_checks"] else ""
    say(f"{report['state']}: {staged}{checks}", logging.ERROR)
    if report["report"]:
        say(f"report: {report['report']}")
    live = live_release(home)
    say(f"still live: {live}" if live else "nothing is live")


def _print_run(home: Home, report: dict[str, Any]) -> None:
    """Say the outcome of a run, show examples, and what to try next."""
    word = "is live" if report["state"] == "live" else "was live already: nothing has changed"
    print(f"\nRelease {report['release']} {word} ({report['seconds']['total']:.1f} s).")
    print(f"Database: {home.current}\n")
    with open_release(home) as con:
        for example in example_pairs(con):
            liked = " and ".join(film["title"] for film in example["pair"])
            print(f"  Whoever likes {liked} may like")
            for film in example["recommendations"]:
                print(f"      {film['title']} (score {film['score']:.2f}, {film['votes']} votes)")
    print(
        "\nTry next:\n"
        "  make dev                                          the asset graph, http://127.0.0.1:3000\n"
        '  marquee query "FROM recommend_pair(1, 260)"       SQL on the live release\n'
        "  marquee recommend 1 260                           any films\n"
        "  marquee serve                                     HTTP service and sign-up page"
    )


@commands.command()
def ingest(
    context: typer.Context,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="CSV or Parquet files with MovieLens columns.")
    ],
    preset: Preset = None,
    settings: Settings = [],  # noqa: B006
    as_json: JsonFlag = False,
) -> None:
    """Ingest files of new ratings, each content once; a refresh then recommends from them."""
    from orchestration.cli.launch import ingest_files

    home = home_of(context)
    asked = asked_parameters(home, preset, settings)
    report = ingest_files(existing(home), [file.absolute() for file in files], asked)
    if as_json:
        print_json(report)
    else:
        for file in report["files"]:
            state = "known already, nothing to do" if file["known"] else f"{file['accepted']:,} ratings ingested"
            print(f"{file['file']}: {state}, {file['rejected']:,} rows rejected")
            for reason, count in file["reasons"].items():
                print(f"    {count:,} rows: {reason}")
            if file["rejected"]:
                print(f"    rejected rows: {file['rejected_rows']}, and rejected_rows in the next release")
        for name, text in report["checks"].items():
            say(f"failed check {name}: {text}", logging.WARNING)
        for error in report["errors"]:
            say(f"marquee: {error}", logging.ERROR)
    if report["errors"]:
        raise typer.Exit(1)


@commands.command()
def evaluate(
    context: typer.Context,
    preset: Annotated[
        str | None, typer.Option(help="Named parameter values: default or book. Default: what is live.")
    ] = None,
    settings: Settings = [],  # noqa: B006
    source: Annotated[
        list[str], typer.Option(help="A data set, as of `run`; may be repeated. Default: the home's ratings.")
    ] = [],  # noqa: B006
    against: Annotated[
        list[str],
        typer.Option(
            metavar="live|default|book|KEY=VALUE,...",
            help="Other parameters, asked the same pairs; may be repeated. KEY=VALUE changes the ones in question.",
        ),
    ] = [],  # noqa: B006
    search: Annotated[
        bool, typer.Option("--sweep", help="First look for better parameters on validation users; takes minutes.")
    ] = False,
    grid: Annotated[
        list[str],
        typer.Option(metavar="KEY=VALUE,...", help="Values the sweep tries, in every combination; may be repeated."),
    ] = [],  # noqa: B006
    as_json: JsonFlag = False,
) -> None:
    """Measure parameters on users the model has not seen, beside others and baselines; changes nothing."""
    from orchestration.cli import evaluation_report as evaluation

    home = home_of(context) if source else existing(home_of(context))
    current, asked = evaluation.parameters_in_question(home, preset, settings)
    report = evaluation.evaluate_sources(
        home,
        current,
        sources=source,
        against={text: evaluation.other_parameters(home, text, current) for text in against},
        search=search or bool(grid),
        grid=evaluation.grid_of(grid) if grid else None,
        notify=say,
    )
    if as_json:
        print_json(report)
    else:
        print(evaluation.printed(report, asked))
