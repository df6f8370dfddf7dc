"""Commands about experiments: `experiment start`, `status`, `look`, `plot` and `stop`.

Belongs here: their arguments and what is printed. What they do is in `warehouse.experiments`.
"""

from typing import Annotated, Any, NoReturn

import typer

from orchestration.cli.common import JsonFlag, Why, existing, home_of, print_json, writing
from orchestration.cli.store import publish_where_set
from recommender.errors import MarqueeError, UsageError
from warehouse.logs import say

commands = typer.Typer(
    no_args_is_help=True,
    help="Try a challenger on a share of the clients, and say whether it is better, or that it is too early to say.",
)

Name = Annotated[str, typer.Argument(help="Name of the experiment.")]
NameOrLast = Annotated[str | None, typer.Argument(help="Name of the experiment; default: the last one.")]


class UnknownExperimentError(MarqueeError):
    """There is no experiment of that name, or none at all."""


@commands.command()
def start(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A new name; it chooses the clients, so each is used once.")],
    challenger: Annotated[str, typer.Option(help="The release to try; it has passed its checks.")],
    share: Annotated[float, typer.Option(help="Share of the clients who meet it.")] = 0.1,
    metric: Annotated[
        str, typer.Option(help="plays_per_answer, clicks_per_answer or likes_per_answer.")
    ] = "plays_per_answer",
    margin: Annotated[float, typer.Option(help="Share of the champion's metric that does not matter.")] = 0.05,
    why: Why = "",
) -> None:
    """Have a share of the clients meet a challenger. Clients without a key meet the live release and do not count."""
    from checks.release.suite import REQUIRED_CHECKS
    from warehouse.experiments import running
    from warehouse.releases.registry import acting_user

    with writing(existing(home_of(context)), f"experiment start {name}") as warehouse:
        planned = running.plan(warehouse, name, challenger, share, metric, margin)
        running.start(warehouse, planned, REQUIRED_CHECKS, who=acting_user(), why=why)
    print(f"{name} runs: {share:.4g} of the clients meet {challenger}, {metric} is compared, margin {margin:.4g}")


@commands.command()
def status(context: typer.Context, name: NameOrLast = None, as_json: JsonFlag = False) -> None:
    """Tell what the last look found: is the challenger better, worse, as good, or is it too early to say.

    Every refresh looks; `marquee experiment look` does at once.
    """
    found = _described(context, name)
    if as_json:
        print_json(found)
    else:
        _print(found)


@commands.command()
def look(context: typer.Context, as_json: JsonFlag = False) -> None:
    """Load what the service has logged so far, and look at the experiment that runs.

    If its clients were not divided as planned it ends, and the exit code is 1.
    """
    from warehouse.experiments.looking import look as look_now
    from warehouse.releases.registry import acting_user

    with writing(existing(home_of(context)), "experiment look") as warehouse:
        _load(warehouse)
        found = look_now(warehouse, who=acting_user())
    if found is None:
        raise UnknownExperimentError("no experiment runs; begin one with: marquee experiment start")
    described = _described(context, found.planned.experiment)
    if as_json:
        print_json(described)
    else:
        _print(described)
    if found.is_violated:
        raise typer.Exit(1)


@commands.command()
def plot(context: typer.Context, name: NameOrLast = None) -> None:
    """Write the difference over the days, with its confidence sequence, as SVG on stdout."""
    from assets.experiment_plot import experiment_plot

    print(experiment_plot(_described(context, name)))


@commands.command()
def stop(
    context: typer.Context,
    name: Name,
    promote: Annotated[bool, typer.Option("--promote", help="The challenger goes live.")] = False,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="The live release stays.")] = False,
    why: Why = "",
    force: Annotated[bool, typer.Option(help="Promote what is not said to be better or as good; needs --why.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """End an experiment after a last look, with a bootstrap over its clients.

    A challenger is promoted if it is better, or if there is no difference that matters.
    """
    from checks.release.suite import REQUIRED_CHECKS
    from warehouse.experiments import running
    from warehouse.releases.registry import acting_user

    if promote == withdraw:
        raise UsageError("say what becomes of the challenger: --promote or --withdraw")
    home, event = existing(home_of(context)), "promoted" if promote else "withdrawn"
    with writing(home, f"experiment stop {name}") as warehouse:
        _load(warehouse)
        running.stop(warehouse, name, event, REQUIRED_CHECKS, who=acting_user(), why=why, force=force)
    found = _described(context, name)
    if as_json:
        print_json(found)
    else:
        _print(found)
    if promote:
        say("the next refresh is made with the home's parameters; if the challenger had others, put them there")
        publish_where_set(home)


def _load(warehouse: Any) -> None:
    """Load requests and events that wait in files, as the assets do."""
    from warehouse.tables.events import load_events
    from warehouse.tables.requests import load_requests

    load_requests(warehouse)
    load_events(warehouse)


def _described(context: typer.Context, name: str | None) -> dict[str, Any]:
    from warehouse.experiments.reading import described_experiments

    found = described_experiments(existing(home_of(context)))
    chosen = next((entry for entry in found if name in (None, entry["experiment"])), None)
    if chosen is None:
        _refuse(name, [entry["experiment"] for entry in found])
    return chosen


def _refuse(name: str | None, known: list[str]) -> NoReturn:
    if not known:
        raise UnknownExperimentError("there was no experiment yet; begin one with: marquee experiment start")
    raise UnknownExperimentError(f"there is no experiment {name}; there are {', '.join(known)}")


def _print(found: dict[str, Any]) -> None:
    """One experiment as text."""
    print(f"{found['experiment']}: {found['decision']} ({found['state']})")
    print(f"  challenger {found['challenger']}, {found['share']:.4g} of the clients, since {found['started_at']}")
    print(f"  {found['text']}")
    last = found["last_look"]
    if last is None:
        return
    if last["decision"] != last["stands"]:
        print(f"  the last look alone says: {last['decision']}; what was said before stands")
    for side in ("champion", "challenger"):
        counts = last[side]
        value = "–" if counts["value"] is None else f"{counts['value']:.4g}"
        print(
            f"  {side:<11} {counts['clients']:>9,} clients {counts['answers']:>11,} answers "
            f"{counts['outcomes']:>10,} outcomes  {value}"
        )
    ratio = last["sample_ratio"]
    if ratio["found"] is not None:
        print(f"  {ratio['found']:.2%} of the clients met the challenger, planned {ratio['planned']:.2%}")
    if last.get("bootstrap"):
        low, high = last["bootstrap"]
        print(f"  at the end, by bootstrap over clients: {last['difference']:+.4g} ({low:+.4g} to {high:+.4g})")
    if len(last["champions"]) > 1:
        print(f"  champions were {', '.join(last['champions'])}")
    print(f"  looked at {len(found['looks'])} times, last {found['looked_at']}")
