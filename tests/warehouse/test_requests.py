"""Requests of the last days are counted in UTC, wherever the machine is."""

from datetime import timedelta
from pathlib import Path

import pytest

from warehouse.database import open_warehouse
from warehouse.home import Home
from warehouse.queries import utc_now
from warehouse.tables.requests import request_facts


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/Los_Angeles"])
def test_days_are_counted_in_utc(tmp_path: Path, zone: str) -> None:
    with open_warehouse(Home(tmp_path), "a test") as warehouse:
        con = warehouse.con
        con.execute(f"SET TimeZone = '{zone}'")
        for hours in (1, 23, 25):
            con.execute(
                "INSERT INTO ops.served_requests VALUES "
                "(?, 'recommend', 200, 'r', 'm', 'd', 'champion', 'exact', 10, [1], [], [2], 1, false, "
                "NULL, NULL, NULL)",
                [utc_now() - timedelta(hours=hours)],
            )
        assert request_facts(con, days=1).requests == 2
