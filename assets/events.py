"""Events in the ops group: what people did, and what became of recommendations."""

import dagster as dg

from assets import outside
from assets.common import OWNERS, Stopwatch, result, table_metadata
from checks.asset_checks import check_result
from checks.tables.incoming import EVENT_CHECKS, event_checks
from warehouse.database import Warehouse
from warehouse.queries import one_row
from warehouse.tables.events import event_facts, load_events

KEY = dg.AssetKey(["ops", "events"])


@dg.asset(
    key=KEY,
    group_name="ops",
    kinds={"duckdb", "parquet"},
    owners=OWNERS,
    deps=[["ops", "served_requests"], outside.EVENTS],
    check_specs=[dg.AssetCheckSpec(name, asset=KEY, description=text) for name, text in EVENT_CHECKS.items()],
)
def events(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult:
    """Events of all doors, as they came in: one row per event, each event id once, kept for 90 days.

    Like the requests, events are loaded also when a release is rejected.
    """
    watch = Stopwatch()
    files, rows, retired = load_events(warehouse)
    (last,) = one_row(warehouse.con, "SELECT max(received_at) FROM ops.events")
    outside.report(context, outside.EVENTS, last, new=rows > 0, files=files, events=rows)
    facts = event_facts(warehouse.con)
    preview = """
        SELECT door, type, count(*) AS events, count(answer_id) AS naming_an_answer, max(received_at) AS last
        FROM ops.events GROUP BY ALL ORDER BY events DESC LIMIT 8
    """
    metadata = table_metadata(warehouse.con, "ops.events", preview)
    metadata |= {"files": files, "loaded": rows, "segments_deleted": len(retired)}
    found = result(watch, metadata, changed=rows > 0)
    return found._replace(check_results=[check_result(outcome) for outcome in event_checks(facts)])


ASSETS = [events]
