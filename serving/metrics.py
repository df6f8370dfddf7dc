"""What Prometheus scrapes: the metrics, their labels, and their text, summed over worker processes.

Belongs here: definitions of metrics. Does not belong here: deciding when to count.

With several workers the client library keeps each process's numbers in files of the folder PROMETHEUS_MULTIPROC_DIR,
which the server sets before this module is imported.
"""

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
    multiprocess,
)

MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

_SECONDS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1.0)

disable_created_metrics()  # a second series per counter, of no use here

REQUESTS = Counter("marquee_requests", "Requests answered.", ["endpoint", "status"])
LATENCY = Histogram("marquee_request_seconds", "Time to the whole answer.", ["endpoint"], buckets=_SECONDS)
ANSWERS = Counter("marquee_answers", "Recommendations given.", ["release", "variant", "engine"])
EMPTY = Counter("marquee_empty_answers", "Answers without a single recommendation.", ["release"])
CACHE = Counter("marquee_cache_lookups", "Look-ups in the answer cache.", ["result"])
UNKNOWN = Counter("marquee_unknown_ids", "Film ids asked for that the release does not know.")
REFUSED = Counter("marquee_refusals", "Requests refused, by kind of problem.", ["kind"])
KEY_REQUESTS = Counter("marquee_key_requests", "Requests with a key, by its name.", ["key", "status"])
KEYS_PROBLEM = Gauge(
    "marquee_keys_problem", "1 while the file of the keys cannot be read; the keys read before hold.",
    multiprocess_mode="livemax",
)  # fmt: skip
SWITCHES = Counter("marquee_release_switches", "Changes of the release a process serves.", ["variant"])
LOAD_PROBLEMS = Gauge(
    "marquee_release_problem", "1 while a published release cannot be loaded.", multiprocess_mode="livemax"
)
SERVED = Gauge(
    "marquee_release_served", "1 for the releases being served.", ["release", "variant"], multiprocess_mode="livemax"
)
STORE_LOOKED = Gauge(
    "marquee_store_looked_timestamp_seconds", "When the store's pointer was last read.", multiprocess_mode="livemax"
)
STORE_PROBLEM = Gauge(
    "marquee_store_problem", "1 while the store cannot be followed; the release before is served.",
    multiprocess_mode="livemax",
)  # fmt: skip
RECENT_RATINGS = Gauge(
    "marquee_recent_ratings", "Ratings of events that lists take into account beside the release.",
    multiprocess_mode="livemax",
)  # fmt: skip
EVENTS_PROBLEM = Gauge(
    "marquee_events_problem", "1 while the journal of events cannot be read.", multiprocess_mode="livemax"
)
EVENTS = Counter("marquee_events", "Events received, by door and fate: accepted or duplicate.", ["door", "fate"])
EVENTS_REFUSED = Counter(
    "marquee_events_refused", "Events refused, by door and the field to blame; journal: it could not be written.",
    ["door", "reason"],
)  # fmt: skip
EVENTS_COMMIT = Histogram("marquee_events_commit_seconds", "Time to have events on the disk.", buckets=_SECONDS)
EVENTS_UNSEALED = Gauge(
    "marquee_events_unsealed", "Events that are in no segment yet.", multiprocess_mode="livemostrecent"
)
EVENTS_WAITING = Gauge(
    "marquee_events_unsealed_seconds", "Age of the oldest of them.", multiprocess_mode="livemostrecent"
)
EVENTS_SEALED = Gauge(
    "marquee_events_sealed_timestamp_seconds", "When this service last sealed a segment.", multiprocess_mode="livemax"
)
STREAM_LAG = Gauge("marquee_stream_lag_messages", "Messages not read yet.", ["topic", "partition"])
STREAM_BATCH = Gauge("marquee_stream_batch_timestamp_seconds", "When messages were last kept.", ["topic"])
STREAM_PROBLEM = Gauge("marquee_stream_problem", "1 while broker, journal or release cannot be used.", ["topic"])
STREAM_SKIPPED = Counter(
    "marquee_stream_skipped_offsets", "Offsets without a message: deleted by age unread, or marks of transactions.",
    ["topic"],
)  # fmt: skip
LOGGED = Counter("marquee_log_rows", "Rows of the request log, by fate.", ["fate"])


def metrics_text() -> tuple[bytes, str]:
    """Current values in the text format, and its media type."""
    if os.environ.get(MULTIPROCESS_VARIABLE):
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        return generate_latest(registry), CONTENT_TYPE_LATEST
    return generate_latest(REGISTRY), CONTENT_TYPE_LATEST
