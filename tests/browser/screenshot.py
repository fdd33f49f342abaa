"""Makes the pictures of docs/: `python -m tests.browser.screenshot http://127.0.0.1:9464/ docs/status-page.png`."""

import sys

from playwright.sync_api import sync_playwright

from testbed.programs import find_program
from tests.system.status_page.test_page import QUIET, VIEWS


def main(url: str, path: str) -> None:
    """Waits until the page has renewed itself once."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_program("chromium"), args=QUIET)
        page = browser.new_page(**VIEWS["light"])
        page.goto(url)
        with page.expect_response(url):
            pass
        page.screenshot(path=path, full_page=True)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
