"""Checks of a target after an export: whether consumers there find the live release, and all of it.

Belongs here: the comparison with the release. Does not belong here: the verification that precedes the switch, without
which no reader is switched to what was loaded (`warehouse.exports`).
"""

from collections.abc import Mapping

from checks.results import judge
from warehouse.exports.target import Seen
from warehouse.tables.check_results import CheckResult

EXPORT_CHECKS = {
    "rows_as_released": "Tables of the target whose number of rows is not that of the release.",
    "release_as_live": "Whether the release that consumers of the target find is not the live one.",
}


def export_checks(asset: str, seen: Seen, rows: Mapping[str, int], live: str | None) -> list[CheckResult]:
    """Compare what consumers find in a target with the release.

    Parameters
    ----------
    asset : str
    seen : Seen
        In the target.
    rows : mapping
        Of the release, by table, for the tables that were exported.
    live : str or None
        The live release, after the export.

    Returns
    -------
    list of CheckResult
        Another live release warns only: it went live meanwhile, and the next export brings it.
    """
    others = {table: [seen.rows.get(table, 0), count] for table, count in rows.items() if seen.rows.get(table) != count}
    facts = "".join(f" {table} has {there} rows instead of {wanted}." for table, (there, wanted) in others.items())
    return [
        judge(
            "rows_as_released",
            asset,
            len(others),
            EXPORT_CHECKS["rows_as_released"] + facts,
            error=0,
            details={"rows": dict(seen.rows)},
        ),
        judge(
            "release_as_live",
            asset,
            int(seen.release != live),
            f"{EXPORT_CHECKS['release_as_live']} {seen.release} is live there, {live} here.",
            warn=0,
        ),
    ]
