"""The status page in a real browser: it shows the deployment as it changes, by itself, and to everybody."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from testbed import registrar_process
from testbed.redis_servers.redis_nodes import Node, started
from testbed.sandbox_client import Sandbox
from testbed.service import SUPERVISED, Service
from tests.support.browser import VIEWS, check_accessible, running_browser, scrolls_sideways

# What the page promises; the registrar looks once a second here.
SOON_MS = 5_000
STREAM = "{fota:0}:messages"


class Deployment:
    """The service with a Redis and a provider of its own."""

    def __init__(self, node: Node, sandbox: Sandbox, service: Service) -> None:
        self.node = node
        self.sandbox = sandbox
        self.service = service

    def send(self, kind: str, **members: Any) -> None:
        """Delivers a message, whoever is registered."""
        about = {"upgradeId": "60b5d639-ccdc-4db8-8824-069bd94c95bf", **members}
        body = {"type": kind, "firmwareList": [], kind: about}
        answer = self.service.post(json.dumps(body), f"/cb/{registrar_process.TOKEN}")
        assert answer.status_code == 200, self.service.log()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as running:
        yield running


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("deployment")
    node = Node(folder / "redis", {})
    with started([node]), Sandbox(allow_http=True) as sandbox:
        settings = registrar_process.settings(
            sandbox,
            folder,
            REDIS_URL=f"redis://{node.address}",
            REGISTRAR_INTERVAL_S="1",
            ACK_BUDGET_MS="300",
        )
        with Service(*SUPERVISED, **settings) as service:
            registrar_process.wait_until_registered(service)
            yield Deployment(node, sandbox, service)


@pytest.fixture
def page(browser: Browser, deployment: Deployment) -> Iterator[Page]:
    """The page, opened once; the test fails if it was loaded anew or complained."""
    context = browser.new_context(**VIEWS["light"])
    opened = context.new_page()
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            complaints.append(message.text)

    opened.on("console", note)
    opened.goto(deployment.service.ops_url)
    opened.evaluate("window.opened = true")
    yield opened
    assert opened.evaluate("window.opened") is True, "it was loaded anew"
    assert complaints == []
    context.close()


def test_a_message_shows_without_a_reload_and_opened_numbers_stay_open(
    page: Page, deployment: Deployment
) -> None:
    page.get_by_text("The same in numbers").click()
    deployment.send(
        "upgradeScheduled",
        deviceList=[{"deviceId": name, "status": "Device Accepted"} for name in "12"],
    )
    deployment.send("upgradeFinished", deviceId="1", status="UpgradeSuccess")
    expect(page.locator("#upgrades")).to_contain_text("1/2", timeout=SOON_MS)
    expect(page.locator("#newest tbody tr")).to_have_count(2, timeout=SOON_MS)
    expect(page.locator("#newest")).to_contain_text("UpgradeSuccess")
    expect(page.locator("#arrivals rect.upgrade-finished")).to_have_count(1, timeout=SOON_MS)
    expect(page.locator("#arrivals-numbers table")).to_be_visible()


@pytest.mark.slow
def test_a_groups_lag_shows(page: Page, deployment: Deployment) -> None:
    deployment.node.ask("XGROUP", "CREATE", STREAM, "billing", "0", "MKSTREAM")
    row = page.locator("#groups tbody tr")
    expect(row).to_contain_text("billing", timeout=SOON_MS)
    deployment.node.ask("XGROUP", "DESTROY", STREAM, "billing")
    expect(row).to_have_count(0, timeout=SOON_MS)


def test_a_stopped_redis_shows_and_so_does_its_return(page: Page, deployment: Deployment) -> None:
    kept = page.locator("#keeping .facts > div").first
    tile = page.locator("#glance div").filter(has_text="Messages go to")
    expect(kept).to_contain_text("Redis")
    expect(tile).to_contain_text("Redis")
    deployment.node.kill()
    try:
        expect(page.locator("h1.error")).to_be_visible(timeout=SOON_MS)
        expect(kept).to_contain_text("the spool", timeout=SOON_MS)
        expect(tile).to_contain_text("the spool")
        # The bare figures of before would look like a calm.
        expect(page.locator("#glance")).to_contain_text("unknown")
    finally:
        deployment.node.start()
    expect(page.locator("h1.error")).to_have_count(0, timeout=SOON_MS)
    expect(kept).to_contain_text("Redis", timeout=SOON_MS)


@pytest.mark.slow
def test_a_frozen_redis_shows_too(page: Page, deployment: Deployment) -> None:
    deployment.node.freeze()
    try:
        expect(page.locator("h1.error")).to_be_visible(timeout=SOON_MS)
    finally:
        deployment.node.resume()
    expect(page.locator("h1.error")).to_have_count(0, timeout=SOON_MS)


@pytest.mark.slow
def test_a_registration_that_was_taken_shows(page: Page, deployment: Deployment) -> None:
    state = page.locator("#registration tbody")
    expect(state).to_contain_text("ours", timeout=SOON_MS)
    deployment.sandbox.register_outside("https://other.example/callback")
    expect(state).to_contain_text("another's", timeout=SOON_MS)
    # Its path may be somebody's secret.
    expect(state).to_contain_text("https://other.example/")
    expect(page.locator("h1.error")).to_be_visible()
    expect(page.locator("#glance div.error")).to_contain_text("not ours")


@pytest.mark.slow
def test_a_service_that_stops_answering_shows_in_place_of_the_verdict(
    browser: Browser, deployment: Deployment
) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(deployment.service.ops_url)
    page.route("**/*", lambda route: route.fulfill(status=500))
    expect(page.locator("h1.error")).to_contain_text("No answer", timeout=SOON_MS)
    expect(page).to_have_title(re.compile("No answer"))
    page.unroute_all()
    expect(page.locator("h1")).not_to_contain_text("No answer", timeout=SOON_MS)
    context.close()


@pytest.mark.slow
def test_who_scrolls_a_table_by_keyboard_stays_in_it(page: Page, deployment: Deployment) -> None:
    box, rows = page.locator("#newest .wide"), page.locator("#newest tbody tr")
    deployment.send("upgradeProgress", upgradeId="before--", deviceId="1", status="InProgress")
    expect(rows.filter(has_text="before--")).to_have_count(1, timeout=SOON_MS)
    box.focus()
    deployment.send("upgradeProgress", upgradeId="after---", deviceId="1", status="InProgress")
    expect(rows.filter(has_text="after---")).to_have_count(1, timeout=SOON_MS)
    expect(box).to_be_focused()


@pytest.mark.slow
def test_the_details_of_a_message_are_one_link_away(page: Page, deployment: Deployment) -> None:
    deployment.send("upgradeProgress", upgradeId="details-", deviceId="77", status="InProgress")
    row = page.locator("#newest tbody tr").filter(has_text="details-")
    link = row.get_by_role("link", name="upgrade-started")
    expect(row).to_contain_text("upgrade-started", timeout=SOON_MS)
    with page.context.expect_page() as opening:
        link.click(modifiers=["Control"])
    details = opening.value
    expect(details.locator("pre")).to_contain_text('"deviceId": "77"')
    assert registrar_process.TOKEN not in details.content()


@pytest.mark.slow
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("healthy", [True, False], ids=["healthy", "redis-down"])
def test_it_is_accessible(
    browser: Browser, deployment: Deployment, view: str, healthy: bool
) -> None:
    deployment.send("upgradeProgress", deviceId=f"{view}-{healthy}", status="InProgress")
    if not healthy:
        deployment.node.kill()
    # axe-core is put in from outside, which the page's own policy forbids.
    context = browser.new_context(**VIEWS[view], bypass_csp=True)
    try:
        page = context.new_page()
        page.goto(deployment.service.ops_url)
        if healthy:
            page.locator("#arrivals-numbers summary").click()
            right = "document.querySelector('svg.chart').getBoundingClientRect().right"
            assert page.evaluate(f"{right} <= window.innerWidth"), "now is in sight"
        check_accessible(page)
        assert not scrolls_sideways(page)
    finally:
        context.close()
        if not healthy:
            deployment.node.start()


@pytest.mark.slow
def test_without_script_it_is_a_page_all_the_same(browser: Browser, deployment: Deployment) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(deployment.service.ops_url)
    expect(page.locator("h1")).to_be_visible()
    assert page.locator('noscript meta[http-equiv="refresh"]').count() <= 1
    context.close()
