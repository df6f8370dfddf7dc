"""Row rules: the conditions a row must meet at the door, as SQL, each with the reason given when it does not.

Belongs here: the value object only. The rules themselves are derived from the table schemas in
`warehouse.schemas.ingest_rules`, so that ranges are declared once; the importer in `warehouse.ingest.importer` applies
whatever rules it is handed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class RowRule:
    """One condition on the rows of a table.

    Attributes
    ----------
    column : str
        The column the rule is about, as named in our tables (``rating``, not the file's ``rating``/``movieId``).
    violated : str
        SQL boolean expression over our column names that is true for a row to reject.
    reason : str
        What is written to ``raw.rejected_rows.reason``; says what was expected.
    """

    column: str
    violated: str
    reason: str


RowRules = Mapping[str, Sequence[RowRule]]
"""Rules by table name without schema: ``movies``, ``ratings``, ``tags``, ``genome_tags``, ``genome_scores``."""
