"""Makes the pictures of docs/: `python -m tests.browser.screenshot docs`."""

import sys
import tempfile
from pathlib import Path

import redis
from playwright.sync_api import Browser, FloatRect

from testbed.redis_servers.redis_nodes import Node, started
from testbed.service import RECEIVER, Service
from tests.support import campaign
from tests.support.browser import VIEWS, running_browser

MAX_HEIGHTS = 2.6
TOKEN = "token-of-all-the-pictures"


def main(folder: str) -> None:
    """Shows a queue in the middle of a campaign."""
    with tempfile.TemporaryDirectory() as data:
        node = Node(Path(data) / "redis", {})
        with started([node]), redis.Redis.from_url(f"redis://{node.address}") as client:
            ids = campaign.fill(client)
            campaign.register(client)
            url = f"redis://{node.address}"
            with Service(*RECEIVER, REDIS_URL=url, CALLBACK_TOKEN=TOKEN) as service:
                service.wait_until_ready()
                with running_browser() as browser:
                    take(browser, service.ops_url, ids[25], Path(folder))


def take(browser: Browser, url: str, dead: str, folder: Path) -> None:
    """Args: the entry id of a message that a group gave up on."""
    upgrade, device = campaign.upgrade_id(3), campaign.device_id(3 * 40 + 1)
    pictures = {
        "status-page": ("/", "light"),
        "status-page-phone": ("/", "phone"),
        "upgrade-page": (f"/upgrades/{upgrade}", "dark"),
        "device-page": (f"/devices/{device}", "light"),
        "message-page": (f"/messages/0/{dead}", "light"),
        "dead-letters-page": ("/dead", "light"),
    }
    for name, (path, view) in pictures.items():
        page = browser.new_page(**VIEWS[view])
        page.goto(f"{url}{path}")
        width, height = page.evaluate("[innerWidth, document.documentElement.scrollHeight]")
        # As much as is read beside a document; tables go on in the same way below.
        clip = FloatRect(x=0, y=0, width=width, height=min(height, MAX_HEIGHTS * width))
        page.screenshot(path=folder / f"{name}.png", full_page=True, clip=clip)
        page.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
