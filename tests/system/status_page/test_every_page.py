"""Every page of the operating port in a real browser, over a queue in the middle of a campaign."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import redis
from playwright.sync_api import Browser, Page, Route, ViewportSize, expect

from testbed.redis_servers.redis_nodes import Node, started
from testbed.service import RECEIVER, Service
from tests.support import campaign
from tests.support.browser import check_accessible, running_browser, scrolls_sideways

DESKTOP = ViewportSize(width=1440, height=900)
PHONE = ViewportSize(width=360, height=740)
# The narrowest screen that WCAG 2.2 asks for (1.4.10 Reflow).
NARROWEST = ViewportSize(width=320, height=600)
DEVICE, UPGRADE = campaign.device_id(3 * 40 + 1), campaign.upgrade_id(3)
# A text that the pages cut off would not be read to its end.
CUT_OFF = """
[...document.querySelectorAll('main *, header *')].filter((part) => {
  const style = getComputedStyle(part);
  const isHidden = part.closest('.unseen, thead, pre, svg, .wide:not(:has(.rows)), details:not([open])');
  return !isHidden && style.display !== 'inline' && part.scrollWidth > part.clientWidth + 1;
}).map((part) => `${part.tagName} ${part.className}: ${part.textContent.slice(0, 80)}`)
"""
FOCUSED = """
(() => {
  const at = document.activeElement, style = getComputedStyle(at), box = at.getBoundingClientRect();
  const name = at.id || at.getAttribute('href') || at.textContent.trim() || at.className;
  const isVisible = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2
    && box.width > 0 && box.bottom > 0 && box.top < innerHeight;
  return [name, isVisible];
})()
"""


# Each page's path, in which the ids of a run are filled in, and what a reader must find on it.
PAGES: dict[str, tuple[str, list[str]]] = {
    "overview": (
        "/",
        ["Messages are kept", "account-refused", UPGRADE[:8], "All messages", "99.8 %"],
    ),
    "a-day": ("/?chart=24h", ["last 24 hours", "15 min"]),
    "upgrades": ("/upgrades", [*map(campaign.upgrade_id, range(8)), "Looked at all"]),
    "upgrade": (f"/upgrades/{UPGRADE}", ["some failed", DEVICE, "UpgradeFailed", "Looked at all"]),
    "no-upgrade": ("/upgrades/0c0ffee0", ["Nothing found", "Looked at all"]),
    "device": (f"/devices/{DEVICE}", [UPGRADE, "failed", "UpgradeFailed", "Looked at all"]),
    "no-device": ("/devices/351756051523999", ["Nothing found", "Looked at all"]),
    "messages": ("/messages", ["upgrade-finished", "UpgradeSuccess", "Older messages"]),
    "filtered": (
        f"/messages?kind=upgrade-scheduled&upgrade={UPGRADE[:8]}&from=1d",
        [UPGRADE[:8], "12 devices", "Looked at all"],
    ),
    "message": (
        "/messages/0/{given_up}",
        ["dead", "KeyError", '"deviceId"', "python -m listener resend"],
    ),
    "recovered": (
        "/messages/0/{recovered}",
        [
            "upgrade-finished, recovered, Finished",
            "ThingSpace did not send it",
            "GET /fota/v1/reports",
        ],
    ),
    "odd-message": ("/messages/0/{odd}", ["not read yet", "W" * 100]),
    "dead-letters": (
        "/dead",
        ["KeyError: 'T-17'", "answered 503", "python -m listener dead requeue"],
    ),
    "dead-letter": ("/dead/0/{letter}?group=billing", ["KeyError: 'T-17'", "Traceback"]),
    "quarantine": ("/quarantine", ["account-refused", "not-json", "{oops"]),
    "refused": ("/quarantine/{refused}", ["account-refused", "0242078689-00002"]),
    "not-there": ("/messages/0/1-1", ["There is no such message"]),
    "not-a-search": ("/messages?from=yesterday-ish", ["cannot be searched for", "from"]),
}
ERRORS = {"not-there": 404, "not-a-search": 400}


@dataclass(frozen=True)
class Fleet:
    """The operating port over a campaign.

    Attributes:
        ids: of the messages that the pages' addresses are about, by the names in `PAGES`.
    """

    url: str
    ids: dict[str, str]

    def address(self, name: str) -> str:
        """Of a page of `PAGES`."""
        return self.url + PAGES[name][0].format_map(self.ids)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as running:
        yield running


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    node = Node(tmp_path_factory.mktemp("redis"), {})
    url = f"redis://{node.address}"
    with started([node]), redis.Redis.from_url(url, decode_responses=True) as client:
        entries = campaign.fill(client, hostile=True)
        campaign.register(client)
        recovered = campaign.recover(client)
        letter, refused = (
            client.xrange(key, count=1)[0][0] for key in (campaign.DEAD, campaign.QUARANTINE)
        )
        ids = {"given_up": entries[25], "odd": entries[-1], "letter": letter, "refused": refused}
        ids["recovered"] = recovered
        with Service(*RECEIVER, REDIS_URL=url, CALLBACK_TOKEN="token-of-every-page") as service:
            service.wait_until_ready()
            yield Fleet(service.ops_url, ids)


@pytest.fixture(scope="module")
def reader(browser: Browser) -> Iterator[Page]:
    """One window for all pages; axe-core is put in from outside, which their own policy forbids."""
    context = browser.new_context(bypass_csp=True)
    yield context.new_page()
    context.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_page_is_accessible_in_both_schemes_on_a_desktop_and_a_phone(
    reader: Page, fleet: Fleet, name: str
) -> None:
    reader.goto(fleet.address(name))
    open_all_details(reader)
    for size in (DESKTOP, PHONE):
        reader.set_viewport_size(size)
        for scheme in ("light", "dark"):
            reader.emulate_media(color_scheme=scheme)
            check_accessible(reader)


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_cut_off_on_a_phone(reader: Page, fleet: Fleet, name: str) -> None:
    reader.goto(fleet.address(name))
    for size in (NARROWEST, PHONE):
        reader.set_viewport_size(size)
        assert not scrolls_sideways(reader), size
        assert reader.evaluate(CUT_OFF) == [], size


def test_pages_are_read_without_javascript(browser: Browser, fleet: Fleet) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    for name, (_, texts) in PAGES.items():
        answer = page.goto(fleet.address(name))
        assert answer is not None
        assert answer.status == ERRORS.get(name, 200), name
        shown = page.locator("body").inner_text()
        assert [text for text in texts if text not in shown] == [], name
    # What a script would do by itself, a link does.
    page.goto(fleet.address("messages"))
    first = page.locator("#results tbody th").first.inner_text()
    page.get_by_role("link", name="Older messages").click()
    expect(page.locator("#results tbody th").first).not_to_have_text(first)
    page.get_by_role("link", name="Newest").click()
    expect(page.locator("#results tbody th").first).to_have_text(first)
    context.close()


@pytest.mark.parametrize("name", ["overview", "messages", "message"])
def test_whatever_the_keyboard_reaches_shows_that_it_does(
    reader: Page, fleet: Fleet, name: str
) -> None:
    reader.set_viewport_size(DESKTOP)
    reader.goto(fleet.address(name))
    reached = []
    for _ in range(20):
        reader.keyboard.press("Tab")
        place, is_visible = reader.evaluate(FOCUSED)
        assert is_visible, place
        reached.append(place)
    assert "find" in reached[:6], "the search box is one of the first"
    if name == "messages":
        assert {"filter-device", "filter-kind"} <= set(reached)


def test_search_box_leads_to_the_page_of_what_was_written(reader: Page, fleet: Fleet) -> None:
    reader.goto(fleet.url)
    for text, place in (
        (UPGRADE, f"/upgrades/{UPGRADE}"),
        (f"  {UPGRADE.upper()} ", f"/upgrades/{UPGRADE.upper()}"),
        (UPGRADE[:8], f"/messages?upgrade={UPGRADE[:8]}"),
        (DEVICE, f"/devices/{DEVICE}"),
        (fleet.ids["given_up"], f"/messages/0/{fleet.ids['given_up']}"),
        (f"{25:032x}", f"/messages?id={25:032x}"),
        ("a/b?c#d", "/devices?id=a%2Fb%3Fc%23d"),
    ):
        reader.get_by_role("searchbox").fill(text)
        reader.keyboard.press("Enter")
        reader.wait_for_url(f"{fleet.url}{place}")
        expect(reader.locator("#results")).to_be_attached() if "/0/" not in place else None


class LongSearch:
    """Answers for a queue so long that a search does not reach its end: the pages of a short one, changed.

    Attributes:
        held: requests for the second answer, which have no response yet.
    """

    def __init__(self, page: Page, fleet: Fleet) -> None:
        self.held: list[Route] = []
        self._found = fleet.address("device")
        page.unroute_all()
        page.route(re.compile("/devices/"), self._answer)
        page.goto(fleet.address("no-device"))

    def complete(self) -> None:
        """Answers what is held with the device's messages, at the end of the queue."""
        for route in self.held:
            route.fulfill(response=route.fetch(url=self._found))

    def _answer(self, route: Route) -> None:
        if "before=" in route.request.url:
            self.held.append(route)
            return
        text = route.fetch().text()
        link = '<p><a class="button" id="go-on" href="?before=9-0-0" data-searching>Go on</a></p></div>'
        begin = text.index('<div id="how-far"')
        end = text.index("</div>", begin)
        route.fulfill(
            body=text[:end] + link + text[end + len("</div>") :], content_type="text/html"
        )


@pytest.fixture
def long_search(reader: Page, fleet: Fleet) -> Iterator[LongSearch]:
    yield LongSearch(reader, fleet)
    reader.unroute_all()


def test_search_goes_on_by_itself_and_adds_what_it_finds(
    reader: Page, long_search: LongSearch
) -> None:
    expect(reader.locator("#nothing")).to_be_visible()
    expect(reader.get_by_role("button", name="Stop")).to_be_visible()
    long_search.complete()
    expect(reader.locator("#results tbody tr")).to_have_count(3)
    expect(reader.locator("#states")).to_contain_text("failed")
    expect(reader.locator("#nothing")).to_have_count(0)
    expect(reader.get_by_role("status")).to_contain_text("this is all there is")
    expect(reader.get_by_role("button", name="Stop")).to_have_count(0)


def test_search_that_is_stopped_adds_nothing_and_can_go_on(
    reader: Page, long_search: LongSearch
) -> None:
    reader.get_by_role("button", name="Stop").click()
    expect(reader.get_by_role("link", name="Go on")).to_be_visible()
    with reader.expect_response("**/devices/**"):
        long_search.complete()
    expect(reader.locator("#results tbody tr")).to_have_count(0)


def test_search_whose_answer_fails_leaves_its_link(reader: Page, long_search: LongSearch) -> None:
    expect(reader.get_by_role("button", name="Stop")).to_be_visible()
    long_search.held.pop().fulfill(status=503, body="")
    expect(reader.get_by_role("link", name="Go on")).to_be_visible()


def open_all_details(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
