"""A headless Chromium, the screens that the pages are looked at on, and what axe-core finds wrong on one."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from testbed.process import ROOT
from testbed.programs import MissingProgramError, find_program

AXE = ROOT / "tests/browser/node_modules/axe-core/axe.min.js"
# Without these Chromium looks for its maker's servers at every start.
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
]
VIEWS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1200, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1200, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"},
}


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Runs Chromium for the duration of the block. Raises MissingProgramError."""
    chromium = find_program("chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        yield running
        running.close()


def check_accessible(page: Page) -> None:
    """Runs axe-core on a page, whose context must have `bypass_csp`: the pages' policy forbids scripts from outside.

    Raises:
        AssertionError: a rule is violated.
        MissingProgramError: axe-core is not installed.
    """
    if not AXE.exists():
        raise MissingProgramError("axe-core is not installed: bin/setup does, where npm is there")
    if not page.evaluate("'axe' in window"):
        page.add_script_tag(path=AXE)
    found = page.evaluate("axe.run({resultTypes: ['violations']})")
    assert len(found["passes"]) > 10, page.url
    violated = [(one["id"], one["help"], one["nodes"][0]["html"]) for one in found["violations"]]
    assert violated == [], page.url + json.dumps(violated, indent=1)


def scrolls_sideways(page: Page) -> bool:
    """Whether the page as a whole is wider than the screen."""
    return bool(page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))
