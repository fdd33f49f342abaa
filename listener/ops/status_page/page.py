"""The status page's Flask blueprint: the page of the whole service, and what all pages share."""

import math

from flask import Blueprint, Response, request

from listener.inspection.arrivals import ALL_HOURS, ArrivalCounts, read_arrivals
from listener.inspection.queue_view import RedisFailedError
from listener.messages.kinds import KIND_NAMES
from listener.ops.queue_connection import open_queue_view
from listener.ops.status_page import links
from listener.ops.status_page.chart import (
    HEIGHT,
    WINDOWS,
    WINDOWS_BY_NAME,
    Chart,
    draw_chart,
    fitting_window,
)
from listener.ops.status_page.failures.dead_letter_pages import add_dead_letter_pages
from listener.ops.status_page.failures.quarantine_pages import add_quarantine_pages
from listener.ops.status_page.formats import printable
from listener.ops.status_page.message_page import add_message_page
from listener.ops.status_page.page_context import PageContext, render, restrict_page
from listener.ops.status_page.search.routes import add_search_pages
from listener.ops.status_page.search.rows import message_rows, only_one
from listener.ops.status_page.snapshot import CachedSnapshot, Snapshot
from listener.ops.status_page.summary import facts, headline, sections, tiles
from listener.queue.keys import QUARANTINED
from listener.recovered.recovery_state import KindCounts
from listener.registration_state import Observation
from listener.settings.settings import Settings
from listener.times import format_duration

CHART_KINDS = (*KIND_NAMES, QUARANTINED)
MAX_PROBLEMS = 20
UNFOLDED_UPGRADES = 5
# What the registrar did and why, where its own words say too little.
REGISTRATION_RESULTS = {
    ("registered", "absent"): "registered: there was none before",
    ("registered", "takeover"): "registered: in place of another URL",
    ("registered", "token-rotated"): "registered: the token is a new one",
    ("registered", "credentials-differ"): "registered: the credentials are new ones",
    ("registered", "credentials-not-shown"): "registered: ThingSpace does not show the credentials",
    ("registered", "sibling"): "registered: in place of an older deployment's",
    ("yielded", "another-owner"): "left alone: another URL is registered",
    ("yielded", "superseded"): "left alone: a newer deployment registers",
    ("yielded", "flapping"): "left alone: another service registers its own in turn",
    ("as-desired", "as-desired"): "as desired",
}


def status_page_blueprint(settings: Settings, cached_snapshot: CachedSnapshot) -> Blueprint:
    """The routes of the page. They show messages, and no secret: none is in the data that they read."""
    blueprint = Blueprint(
        "page",
        __name__,
        template_folder="templates",
        static_folder="static",
        static_url_path="/static",
    )
    context = PageContext(settings)
    add_search_pages(blueprint, context)
    add_message_page(blueprint, context)
    add_dead_letter_pages(blueprint, context)
    add_quarantine_pages(blueprint, context)

    @blueprint.get("/")
    def status() -> str:
        return _render_status(settings, cached_snapshot.get(), request.args.get("chart", ""))

    blueprint.add_app_template_filter(printable)
    for function in (
        links.device_link,
        links.upgrade_link,
        links.entry_link,
        links.letter_link,
        links.quarantined_link,
        links.link,
        format_duration,
    ):
        blueprint.add_app_template_global(function)

    @blueprint.after_request
    def restrict(response: Response) -> Response:
        restrict_page(response)
        return response

    return blueprint


def _render_status(settings: Settings, snapshot: Snapshot, window: str) -> str:
    level, sentence = headline(snapshot)
    minute = int(snapshot.host_time.timestamp()) // 60
    recent = draw_chart(snapshot.arrivals, CHART_KINDS, minute)
    rows = message_rows(snapshot.newest)
    return render(
        "status.html",
        snapshot.now,
        snapshot=snapshot,
        level=level,
        headline=sentence,
        tiles=tiles(snapshot, recent),
        sections=sections(snapshot),
        facts=facts(snapshot),
        chart=_chart(settings, snapshot, minute, window),
        windows=WINDOWS,
        chosen=window if window in WINDOWS_BY_NAME else "",
        height=HEIGHT,
        rows=rows,
        account=only_one(row.account for row in rows),
        upgrade_account=only_one(upgrade.account for upgrade in snapshot.upgrades),
        registration_result=_registration_result,
        delivery_rate=_delivery_rate,
        max_problems=MAX_PROBLEMS,
        unfolded=UNFOLDED_UPGRADES,
    )


def _chart(settings: Settings, snapshot: Snapshot, minute: int, name: str) -> Chart:
    """The chart of the window that was chosen, or of the one that fits."""
    counts: ArrivalCounts = snapshot.arrivals
    window = WINDOWS_BY_NAME.get(name) or fitting_window(counts, minute)
    if window is WINDOWS[-1] and snapshot.redis_up:
        counts = _arrivals_of_a_day(settings, snapshot) or counts
    return draw_chart(counts, CHART_KINDS, minute, window)


def _arrivals_of_a_day(settings: Settings, snapshot: Snapshot) -> ArrivalCounts | None:
    """All counts that are kept; None if Redis fails in this moment: the next look says so."""
    try:
        with open_queue_view(settings) as view:
            return read_arrivals(view.client, view.partitions, snapshot.host_time, ALL_HOURS)
    except RedisFailedError:
        return None


def _delivery_rate(counts: KindCounts) -> str:
    """The share that came, in percent, rounded down: 100 % means all."""
    rate = counts.delivery_rate
    return "\N{EN DASH}" if rate is None else f"{math.floor(1000 * rate) / 10:g} %"


def _registration_result(registration: Observation) -> str:
    """What the registrar did, and why."""
    result, reason = registration.result, registration.reason
    if text := REGISTRATION_RESULTS.get((result, reason)):
        return text
    return result if reason in {"", result} else f"{result}: {reason}"
