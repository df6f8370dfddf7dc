"""Dagster's SQLite records during a run of the command line: one engine and one open connection per file."""

from collections import Counter
from pathlib import Path

import dagster as dg
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from orchestration.event_log import quick_event_log
from orchestration.instance import prepare_instance
from warehouse.home import Home


def test_each_file_has_one_engine_during_the_block_and_the_events_are_there_after_it(tmp_path: Path) -> None:
    engines: dict[str, set[Engine]] = {}  # the engines themselves: an address may be used again

    def note(connection: Connection) -> None:
        engines.setdefault(str(connection.engine.url), set()).add(connection.engine)

    event.listen(Engine, "engine_connect", note)
    try:
        with quick_event_log(), prepare_instance(Home(tmp_path)) as instance:
            instance.report_runless_asset_event(
                dg.AssetMaterialization("first")
            )  # opens the files, with engines of their own for making the tables
            engines.clear()
            for number in range(5):
                instance.report_runless_asset_event(dg.AssetMaterialization(f"asset_{number}"))
            assert Counter(len(found) for found in engines.values()) == {1: len(engines)}, engines
            assert any(url.endswith("index.db") for url in engines)
    finally:
        event.remove(Engine, "engine_connect", note)
    with prepare_instance(Home(tmp_path)) as instance:
        assert len(instance.all_asset_keys()) == 6
