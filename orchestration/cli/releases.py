"""Commands about releases: `releases`, `promote`, `rollback`, `retire`, `diff` and `export`.

Belongs here: their arguments and what is printed. What they do is in `warehouse.releases` and
`warehouse.exports`.
"""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from orchestration.cli.common import JsonFlag, Why, existing, home_of, print_json, writing
from orchestration.cli.store import publish_where_set
from warehouse.logs import say

commands = typer.Typer()


@commands.command()
def releases(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List releases, newest first: state, age, size, who put it there and why; and the report of each."""
    from warehouse.releases.registry import deciding_event, list_releases

    entries = list_releases(existing(home_of(context)))
    if as_json:
        print_json({"releases": entries})
        return
    if not entries:
        print("no releases yet; make one with: marquee run")
    for entry in entries:
        last = deciding_event(entry)
        age = datetime.now(UTC).replace(tzinfo=None) - datetime.fromisoformat(entry["created_at"])
        print(
            f"{entry['release']}  {entry['state']:<11} {age.total_seconds() / 3600:7.1f} h "
            f"{entry['bytes'] / 1e6:9.1f} MB  {entry['source']} ({entry['genome_source']})  "
            f"{last['event']} by {last['who']}: {last['why']}"
        )
        if entry["report"]:
            print(f"    report: {entry['report']}")


@commands.command()
def promote(
    context: typer.Context,
    release: Annotated[str, typer.Argument(help="Name of a staged or superseded release.")],
    why: Why = "",
    force: Annotated[bool, typer.Option(help="In spite of failed checks; needs --why.")] = False,
) -> None:
    """Make a release the live one; refuses what has not passed every blocking check."""
    from checks.release.suite import REQUIRED_CHECKS
    from warehouse.releases import promotion, registry

    home = existing(home_of(context))
    with writing(home, f"promote {release}") as warehouse:
        changed = promotion.promote(
            warehouse, release, REQUIRED_CHECKS, who=registry.acting_user(), why=why, force=force
        )
    print(f"{release} is live" if changed else f"{release} was live already")
    publish_where_set(home)


@commands.command()
def rollback(context: typer.Context, why: Why = "") -> None:
    """Go back to the release that was live before; recomputes nothing."""
    from warehouse.releases import promotion, registry

    home = existing(home_of(context))
    with writing(home, "rollback") as warehouse:
        left, now = promotion.rollback(warehouse, who=registry.acting_user(), why=why)
    print(f"{now} is live again instead of {left}")
    publish_where_set(home)


@commands.command()
def retire(
    context: typer.Context,
    keep: Annotated[int, typer.Option(min=1, help="Newest releases to keep, besides the live one and the challenger.")],
    why: Why = "",
) -> None:
    """Delete old releases, and models that no release needs."""
    from warehouse.releases import registry, retirement

    home = existing(home_of(context))
    with writing(home, "retire") as warehouse:
        gone = retirement.retire(warehouse, keep, who=registry.acting_user(), why=why)
    print(
        f"deleted {len(gone.releases)} releases and {len(gone.models)} models, {gone.bytes / 1e6:.1f} MB: "
        f"{', '.join(gone.releases + gone.models) or 'nothing'}"
    )
    publish_where_set(home)


@commands.command()
def diff(
    context: typer.Context,
    release_a: Annotated[str, typer.Argument(metavar="RELEASE_A")],
    release_b: Annotated[str, typer.Argument(metavar="RELEASE_B")],
    as_json: JsonFlag = False,
) -> None:
    """Show what changes for users from one release to another."""
    from orchestration.cli.evaluation_report import paired_change
    from warehouse.releases.difference import OTHER_LISTS, compare_releases

    home = home_of(context)
    found = compare_releases(home, release_a, release_b)
    found["paired"] = paired_change(home, release_a, release_b)
    if as_json:
        print_json(found)
        return
    pairs = found["pairs"]
    overlap = found["mean_overlap"]
    print(f"{pairs['in_both']:,} pairs in both, {pairs['changed']:,} of them changed", end="")
    print(_overlap(overlap, pairs["changed"]))
    print(f"{pairs['only_a']:,} pairs only in {release_a}, {pairs['only_b']:,} only in {release_b}")
    for name in OTHER_LISTS:
        lists = found[name]
        if lists is not None:
            print(f"{name}: {lists['in_both']:,} lists in both, {lists['changed']:,} of them changed", end="")
            print(_overlap(lists["mean_overlap"], lists["changed"]), end="")
            print(f"; {lists['only_a']:,} only in {release_a}, {lists['only_b']:,} only in {release_b}")
    for name in ("model_version", "ratings_fingerprint", "genome_source", "code_version"):
        before, after = (side[name] for side in found["releases"])
        if before != after:
            print(f"{name}: {before} -> {after}")
    before, after = (json.loads(side["parameters"]) for side in found["releases"])
    for name in dict.fromkeys([*before, *after]):
        if before.get(name) != after.get(name):
            print(f"parameter {name}: {before.get(name, 'none')} -> {after.get(name, 'none')}")
    for metric, sides in found["metrics"].items():
        before, after = (_measured(*side) for side in zip(sides, found["intervals"][metric], strict=True))
        print(f"{metric}: {before} -> {after}")
    for metric, (change, low, high) in found["paired"].items():
        print(f"{metric}, both asked the same pairs of {release_b}: {change:+.4f} ({low:+.4f} to {high:+.4f})")
    for example in found["examples"]:
        print(f"\n{' + '.join(map(str, example['pair']))}")
        print(f"  {release_a}: {'; '.join(map(str, example['a']))}")
        print(f"  {release_b}: {'; '.join(map(str, example['b']))}")


@commands.command()
def export(
    context: typer.Context,
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="postgresql://..., redis://..., a folder or s3://, gs://, az:// (Parquet), or a name in exports.toml.",
        ),
    ],
    release: Annotated[str | None, typer.Option(help="Which one; default: the live release.")] = None,
    keep: Annotated[
        int | None, typer.Option(min=1, help="Newest releases to keep there; default: 24, in Redis 2.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Load a release into a database or folder, verify it, and switch readers there to it.

    One that is there already is only switched to.
    """
    from warehouse.exports.export import export_release
    from warehouse.exports.release_file import open_release_file
    from warehouse.exports.settings import asked_target

    home = existing(home_of(context))
    spec = asked_target(home, target, keep)
    if spec.address.names_password:
        say("the password in the address can be seen by others (ps); write ${NAME} there instead, in single quotes")
    with open_release_file(home, release) as source:
        done = export_release(source, spec, say)
    if as_json:
        facts = asdict(done)
        print_json({**facts, "seen": done.seen.release, "rows": done.seen.rows})
        return
    how = f"{sum(done.seen.rows.values()):,} rows" if done.loaded else "nothing to load"
    print(f"{done.target}: {done.release} is live there" + ("" if done.switched else " already") + f" ({how})")
    if done.retired:
        print(f"given up there: {', '.join(done.retired)}")


def _overlap(overlap: float | None, changed: int) -> str:
    """Mean overlap in words; not 100.0% where lists have changed."""
    if overlap is None:
        return ""
    if changed and overlap == 1:
        return " (the same films in another order)"
    text = f"{overlap:.1%}"
    return f" (mean overlap {'over 99.9%' if changed and text == '100.0%' else text})"


def _measured(value: float | None, interval: tuple[float | None, float | None]) -> str:
    if value is None:
        return "not measured"
    return f"{value:.4g}" + ("" if interval[0] is None else f" ({interval[0]:.4g} to {interval[1]:.4g})")
