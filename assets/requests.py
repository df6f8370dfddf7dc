"""The ops group: what the HTTP service was asked and answered."""

import dagster as dg

from assets import outside
from assets.common import OWNERS, Stopwatch, result, table_metadata
from checks.asset_checks import check_result
from checks.tables.incoming import DAYS, REQUEST_CHECKS, request_checks
from warehouse.database import Warehouse
from warehouse.queries import one_row
from warehouse.tables.requests import load_requests, request_facts

KEY = dg.AssetKey(["ops", "served_requests"])


@dg.asset(
    key=KEY,
    group_name="ops",
    kinds={"duckdb", "parquet"},
    owners=OWNERS,
    deps=[outside.REQUEST_LOG],
    check_specs=[dg.AssetCheckSpec(name, asset=KEY, description=text) for name, text in REQUEST_CHECKS.items()],
)
def served_requests(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult:
    """Requests the HTTP service answered, without addresses: one row per request, kept for 90 days.

    It waits for nothing: requests are loaded also when a release is rejected.
    """
    watch = Stopwatch()
    files, rows = load_requests(warehouse)
    (last,) = one_row(warehouse.con, "SELECT max(requested_at) FROM ops.served_requests")
    outside.report(context, outside.REQUEST_LOG, last, new=rows > 0, files=files, requests=rows)
    outside.report(context, outside.SERVICE, last, new=rows > 0)
    facts = request_facts(warehouse.con, DAYS)
    preview = """
        SELECT release, variant, endpoint, engine, count(*) AS requests, round(median(latency_ms), 2) AS median_ms
        FROM ops.served_requests GROUP BY ALL ORDER BY requests DESC LIMIT 8
    """
    metadata = table_metadata(warehouse.con, "ops.served_requests", preview) | {"files": files, "loaded": rows}
    found = result(watch, metadata, changed=rows > 0)
    return found._replace(check_results=[check_result(outcome) for outcome in request_checks(facts)])


ASSETS = [served_requests]
