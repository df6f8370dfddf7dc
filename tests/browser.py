"""Headless Chromium, as Debian has it, and what axe says about a page."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
AXE = Path(__file__).parent / "serving" / "vendor" / "axe.min.js"


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser for the block; without one the test is skipped."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium for the browser tests: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


def violations(page: Page, **options: Any) -> list[str]:
    """What axe finds; evaluated in the page, so that the page's own policy stays in force."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    page.wait_for_timeout(350)  # let the cards fade in: half-faded text has too little contrast
    found = page.evaluate("options => axe.run(options)", {"resultTypes": ["violations"], **options})["violations"]
    return [f"{item['id']}: {[node['html'][:120] for node in item['nodes'][:3]]}" for item in found]
