"""What somebody does first in the UI: press *Materialize all* in a home that holds nothing, and wait until all is made.

By Chromium against `dagster dev -w workspace.yaml` as shipped. Most of the time is Dagster's own: it makes five runs of
it, and looks every half minute whether the next may start. The same server shows that exports follow their condition.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser import chromium
from tests.dagster_dev import Webserver, dagster_dev, wait_for
from warehouse.home import Home
from warehouse.releases.registry import live_release

BACKFILLS = "query { partitionBackfillsOrError { ... on PartitionBackfills { results { status } } } }"
ASSETS = """
query { assetNodes { assetKey { path } isMaterializable assetMaterializations(limit: 1) { timestamp } } }
"""
EXPORTS = """
query { runsOrError(filter: {tags: [{key: "marquee/turn", value: "exports"}]}) {
  ... on Runs { results { status tags { key value } } }
} }
"""


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Webserver]:
    """`dagster dev` over a home without a source, with a target for exports, and parameters that make it quick."""
    (tmp_path / "parameters.toml").write_text("top_movies = 40\n")
    (tmp_path / "exports.toml").write_text('[lake]\nurl = "lake"\n')
    with dagster_dev(tmp_path) as running:
        yield running


@pytest.mark.campaign
def test_materialize_all_makes_everything_of_an_empty_home(empty: Webserver) -> None:
    def backfills() -> list[str]:
        return [found["status"] for found in empty.ask(BACKFILLS)["partitionBackfillsOrError"]["results"]]

    with chromium() as browser:
        page = browser.new_page(base_url=str(empty.client.base_url))
        page.set_default_timeout(30_000)
        page.goto("/asset-groups")
        page.get_by_text("Materialize all").click()
        page.get_by_role("button", name="Launch backfill").click()
        wait_for(lambda: backfills() not in ([], ["REQUESTED"]), 420, "the end of everything")
        assert backfills() == ["COMPLETED_SUCCESS"], empty.runs()
        assert {run["status"] for run in empty.runs()} == {"SUCCESS"}
        made = {
            "/".join(node["assetKey"]["path"]): bool(node["assetMaterializations"])
            for node in empty.ask(ASSETS)["assetNodes"]
            if node["isMaterializable"]
        }
        assert [name for name, is_made in made.items() if not is_made] == []
        assert len(made) > 20
        page.goto("/assets/published/live_release")
        expect(page.get_by_text("Passing").first).to_be_visible(timeout=60_000)  # its freshness
    assert live_release(Home(empty.home))

    (empty.home / "exports.toml").write_text('[lake]\nurl = "lake"\nkeep = 1\n')

    def exports() -> list[str]:
        return [run["status"] for run in empty.ask(EXPORTS)["runsOrError"]["results"]]

    assert exports() == []
    wait_for(lambda: exports() == ["SUCCESS"], 120, "the daemon to export by the new settings")
