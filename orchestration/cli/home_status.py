"""What `marquee status` shows: the state of the platform now, without waiting for a writer.

Belongs here: gathering it from the release registry's copy and from Dagster's records, and wording it. Does
not belong here: hashing and consistency (`warehouse.releases.doctor`).
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from assets.common import run_title
from assets.exports import exported_last
from orchestration.definitions import build_defs
from orchestration.instance import prepare_instance
from recommender.errors import MarqueeError
from warehouse.experiments.reading import described_experiments
from warehouse.exports.settings import configured_targets
from warehouse.home import Home
from warehouse.ingest.landing import REFUSED, landed_files
from warehouse.locks import holder, is_held, process_with_open
from warehouse.releases.registry import deciding_event, list_releases, live_release
from warehouse.store.client import open_store, store_address
from warehouse.store.pointer import read_pointer

LAST_RUNS = 5


def home_status(home: Home) -> dict[str, Any]:
    """Describe a home.

    Returns
    -------
    dict
        ``live`` (release, age_hours, state), ``challenger``, ``experiment`` (the one that runs: name and decision, or
        None), ``writer`` (who is writing, or None), ``open_in`` (another process that has the working database open
        and keeps writers waiting, or None), ``runs`` (the last ones),
        ``schedules`` (with the next tick), ``sensors``, ``landing`` (files waiting and refused), ``store`` (what is
        live in that of MARQUEE_STORE, or why that is unknown; None without), ``targets`` (of exports.toml, each with
        the release that was exported last), ``bytes``.
    """
    writer = holder(home.writer_lock) if is_held(home.writer_lock) else None
    reader = process_with_open(home.warehouse)
    with prepare_instance(home) as instance:
        return {
            "home": str(home.root),
            "live": _live(home),
            "challenger": live_release(home, home.challenger),
            "experiment": _experiment(home),
            "writer": writer,
            "open_in": None if reader and writer and reader["pid"] == writer.get("pid") else reader,
            "runs": _runs(instance),
            **_automation(instance),
            "landing": {
                "waiting": len(landed_files(home.landing)),
                "refused": len(list((home.landing / REFUSED).glob("*.reason.txt"))),
            },
            "store": _store(),
            "targets": _targets(home, instance),
            "bytes": {
                "warehouse": _bytes(home.warehouse),
                "published": _bytes(home.published),
                "models": _bytes(home.models),
                "sources": _bytes(home.sources),
                "dagster": _bytes(home.dagster),
            },
        }


def _live(home: Home) -> dict[str, Any] | None:
    release = live_release(home)
    entry = next((entry for entry in list_releases(home) if entry["release"] == release), None)
    if release is None or entry is None:
        return None if release is None else {"release": release, "age_hours": None}
    age = datetime.now(UTC).replace(tzinfo=None) - datetime.fromisoformat(entry["created_at"])
    last = deciding_event(entry)
    return {
        "release": release,
        "model_version": entry["model_version"],
        "age_hours": round(age.total_seconds() / 3600, 2),
        "failed_checks": entry["failed_checks"],
        "last_event": f"{last['event']} by {last['who']}: {last['why']}",
    }


def _store() -> dict[str, Any] | None:
    """What is live in the store of the environment; asking takes seconds if it is away."""
    address = store_address()
    if not address:
        return None
    try:
        found = read_pointer(open_store(address), address)
    except MarqueeError as error:
        return {"address": address, "release": None, "problem": str(error)}
    return {"address": address, "release": found and found.pointer.release, "problem": ""}


def _targets(home: Home, instance: dg.DagsterInstance) -> list[dict[str, Any]]:
    """The targets of exports, with what Dagster has recorded of them."""
    found = []
    for name, spec in configured_targets(home).items():
        last = exported_last(instance, dg.AssetKey(["exports", name]))
        found.append({"name": name, "address": spec.address.shown, "release": last[0] if last else None})
    return found


def _experiment(home: Home) -> dict[str, Any] | None:
    running = [entry for entry in described_experiments(home) if entry["state"] == "running"]
    return {name: running[0][name] for name in ("experiment", "decision")} if running else None


def _runs(instance: dg.DagsterInstance) -> list[dict[str, Any]]:
    return [
        {
            "job": run_title(record.dagster_run),
            "run": record.dagster_run.run_id,
            "status": record.dagster_run.status.value,
            "started": _moment(record.start_time),
            "seconds": round(record.end_time - record.start_time, 1) if record.end_time and record.start_time else None,
        }
        for record in instance.get_run_records(limit=LAST_RUNS)
    ]


def _automation(instance: dg.DagsterInstance) -> dict[str, list[dict[str, Any]]]:
    """Schedules with their next tick and sensors, each with whether it is on."""
    states = {state.instigator_name: state.status.value for state in instance.all_instigator_state()}
    repository = build_defs().get_repository_def()
    now = datetime.now(UTC)
    schedules = []
    for schedule in repository.schedule_defs:
        on = states.get(schedule.name, schedule.default_status.value) in {"RUNNING", "DECLARED_IN_CODE"}
        schedules.append(
            {
                "name": schedule.name,
                "on": on,
                "cron": schedule.cron_schedule,
                "next": next_tick(str(schedule.cron_schedule), now),
            }
        )
    sensors = [
        {
            "name": sensor.name,
            "on": states.get(sensor.name, sensor.default_status.value) in {"RUNNING", "DECLARED_IN_CODE"},
        }
        for sensor in repository.sensor_defs
    ]
    return {"schedules": schedules, "sensors": sensors}


def next_tick(cron: str, now: datetime) -> str | None:
    """Next time of a cron line of minutes and hours (``0,30 3 * * *``); None if it says more than that."""
    minutes, hours, *rest = cron.split()
    if rest != ["*", "*", "*"]:
        return None
    moment = now.replace(second=0, microsecond=0)
    for _ in range(2 * 24 * 60):
        moment += timedelta(minutes=1)
        if all(
            field == "*" or str(value) in field.split(",")
            for field, value in ((minutes, moment.minute), (hours, moment.hour))
        ):
            return moment.isoformat(timespec="minutes")
    return None


def printed_status(found: dict[str, Any]) -> str:
    """The status as text."""
    live, writer = found["live"], found["writer"]
    lines = [f"home       {found['home']}"]
    if live is None:
        lines.append("live       nothing yet; make a release with: marquee run")
    else:
        lines.append(f"live       {live['release']}, {live['age_hours']} hours old, {live.get('last_event', '')}")
    if found["experiment"]:
        lines.append(f"experiment {found['experiment']['experiment']}: {found['experiment']['decision']}")
    lines.append(f"writing    {writer['purpose']} since {writer['since']} (process {writer['pid']})" if writer else
                 "writing    nobody")  # fmt: skip
    if found["open_in"]:
        lines.append(
            f"open in    process {found['open_in']['pid']} ({found['open_in']['command']}): writers wait until it "
            "closes warehouse.duckdb; it can open published/current.duckdb instead"
        )
    lines += [f"run        {_run_line(run)}" for run in found["runs"]]
    lines += [
        f"schedule   {item['name']}: " + (f"next at {item['next']}" if item["on"] else "off")
        for item in found["schedules"]
    ]
    lines += [f"sensor     {item['name']}: {'on' if item['on'] else 'off'}" for item in found["sensors"]]
    lines.append(f"landing    {found['landing']['waiting']} files wait, {found['landing']['refused']} were refused")
    if store := found["store"]:
        lines.append(f"store      {store['address']}: {store['release'] or store['problem']}")
    lines += [
        f"export     {target['name']}, {target['address']}: {target['release'] or 'nothing was exported yet'}"
        for target in found["targets"]
    ]
    lines.append("megabytes  " + ", ".join(f"{name} {size / 1e6:.1f}" for name, size in found["bytes"].items()))
    return "\n".join(lines)


def _run_line(run: dict[str, Any]) -> str:
    """A run in one line; one that has not started or ended says so."""
    took = "" if run["seconds"] is None else f" {run['seconds']} s"
    return f"{run['started'] or 'not started yet'} {run['job']} {run['status']}{took}"


def _moment(seconds: float | None) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if seconds else None


def _bytes(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    total = 0
    for item in path.rglob("*"):
        try:
            total += item.lstat().st_size if item.is_file() else 0
        except FileNotFoundError:  # a temporary file of a writer at work
            continue
    return total
