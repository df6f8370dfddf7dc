"""The door: row rules derived from the table schemas, for the importer to apply before anything is committed.

Belongs here: which models apply to which file, plus the one bound no constant can express: now. Does not belong here:
the bounds themselves (`warehouse.schemas.models`), their translation to SQL (`warehouse.schemas.conditions`) or reading
files (`warehouse.ingest.importer`)."""

from datetime import UTC, datetime, timedelta

from warehouse.schemas.conditions import row_conditions
from warehouse.schemas.models import SOURCE_TABLES
from warehouse.schemas.row_rules import RowRule, RowRules

CLOCK_TOLERANCE = timedelta(days=1)
"""How far in the future a timestamp may lie: clocks of other machines differ, but not by more than this."""


def row_rules(now: datetime | None = None) -> RowRules:
    """Row rules of every table that is imported from files.

    Parameters
    ----------
    now : datetime, optional
        Timezone-aware present; ratings later than a day after it are rejected. Default: the clock.

    Returns
    -------
    dict of str to list of RowRule
        By table: `movies`, `ratings`, `tags`, `genome_tags`, `genome_scores`.
    """
    rules = {table: row_conditions(model) for table, model in SOURCE_TABLES.items()}
    latest = (now or datetime.now(UTC)).astimezone(UTC) + CLOCK_TOLERANCE
    rules["ratings"].append(
        RowRule("rated_at", f"rated_at > TIMESTAMP '{latest:%Y-%m-%d %H:%M:%S}'", "rated_at lies in the future")
    )
    return rules
