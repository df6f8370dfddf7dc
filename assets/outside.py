"""The groups inputs and consumers: what the platform reads and who reads it, so that the graph shows the whole way.

Belongs here: external assets, and what the steps that meet them report of them. Does not belong here: anything the
platform makes. Exports are assets of their own (`assets.exports`), because runs make them.
"""

from datetime import UTC, datetime

import dagster as dg

from assets.common import OWNERS

GROUPS = ("inputs", "consumers")
DATA_SET, LANDING, EVENTS = (dg.AssetKey(["inputs", name]) for name in ("data_set", "landing", "events"))
SERVICE, REQUEST_LOG = (dg.AssetKey(["consumers", name]) for name in ("service", "request_log"))
LIVE = dg.AssetKey(["published", "live_release"])

SPECS = [
    dg.AssetSpec(key, deps=deps, description=text, group_name=key.path[0], kinds=kinds, owners=OWNERS)
    for key, deps, kinds, text in (
        (DATA_SET, [], {"csv"}, "The source: a folder, a zip, an address or a known name, with MovieLens' files."),
        (EVENTS, [], {"sqlite"}, "What people did: the journal `events/`, by HTTP and from streams."),
        (LANDING, [EVENTS], {"csv", "parquet"}, "The folder `landing/`: new ratings, dropped there or made of events."),
        (SERVICE, [LIVE], {"python"}, "The HTTP service and its page. It follows the live release by itself."),
        (REQUEST_LOG, [SERVICE], {"parquet"}, "The folder `requests/`: what the service was asked and answered."),
    )
]


def report(
    context: dg.AssetExecutionContext, key: dg.AssetKey, updated: datetime | None, *, new: bool, **facts: int | str
) -> None:
    """Report what a step met of something outside: when it last changed (UTC, without zone), and facts.

    Something new is an update, Dagster's materialization, from which its freshness counts; the same as before is an
    observation.
    """
    metadata: dict[str, dg.MetadataValue | int | str] = dict(facts)
    if updated is not None:
        stamp = updated.replace(tzinfo=UTC).timestamp()
        metadata["dagster/last_updated_timestamp"] = dg.MetadataValue.timestamp(stamp)
    event = dg.AssetMaterialization if new else dg.AssetObservation
    context.log_event(event(key, metadata=metadata))
