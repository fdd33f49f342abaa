"""The pages that search: messages by filters, a device, an upgrade, all upgrades, and the search box."""

import re
from collections.abc import Callable
from datetime import datetime

from flask import Blueprint, redirect, request
from werkzeug.wrappers import Response

from listener import entry_ids
from listener.inspection.entry_filter import EntryFilter, normalized
from listener.inspection.queue_view import QueueView
from listener.inspection.search.backward_search import Limits, SearchResult
from listener.inspection.search.conditions import Position, Wanted
from listener.messages.kinds import KIND_NAMES, KINDS
from listener.ops.status_page.links import device_link, entry_link, link, upgrade_link
from listener.ops.status_page.page_context import PageContext, fail, render
from listener.ops.status_page.search.rows import HowFar, how_far, message_row, only_one, sum_up
from listener.ops.status_page.search.search_request import read_device, read_position, read_search
from listener.ops.status_page.upgrades import devices_by_urgency, track_upgrades
from listener.runtime.native_thread import NativeThread

PAGE_ROWS = 50
# An upgrade's devices are read from so many of its messages; formatting them delays the receiver in this process.
MAX_UPGRADE_MESSAGES = 5_000
MAX_DEVICE_ROWS = 100
MAX_UPGRADE_ROWS = 50
PARSE_TIMEOUT_S = 5.0
# Which messages are about an upgrade; the list of upgrades needs none of their data.
UPGRADE_KINDS = tuple(kind.name for kind in KINDS if kind.stage)
LIST_FIELDS = ("time", "kind", "account", "subject")
ENTRY_ID = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")
MESSAGE_ID = re.compile(r"[0-9a-f]{32}")
# A UUID, or the eight hex digits at its beginning that tables show.
UPGRADE_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f-]*)?", re.IGNORECASE)

_thread = NativeThread()


def add_search_pages(blueprint: Blueprint, context: PageContext) -> None:
    """Adds the routes."""

    @blueprint.get("/messages")
    def messages() -> str:
        with context.queue() as view:
            now = view.now()
            try:
                asked = read_search(request.args, now)
            except ValueError as problem:
                fail(400, "This cannot be searched for", str(problem))
            limits = Limits(matches=PAGE_ROWS)
            result = context.search.run(
                view.client, view.partitions, asked.wanted, before=asked.before, limits=limits
            )
            far = _how_far(result, view, asked.before, now, asked.link)
        rows = [message_row(entry) for entry in result.entries]
        return render(
            "messages.html", now, asked=asked, rows=rows, far=far, kinds=KIND_NAMES,
            is_continued=bool(request.args.get("before")),
            account=only_one(row.account for row in rows),
        )  # fmt: skip

    @blueprint.get("/devices")
    @blueprint.get("/devices/<path:device>", merge_slashes=False)
    def device(device: str = "") -> str | Response:
        text = device or request.args.get("id", "")
        if not text:
            return redirect("/messages")
        return _device_page(context, text)

    @blueprint.get("/upgrades")
    @blueprint.get("/upgrades/<path:upgrade>", merge_slashes=False)
    def upgrade(upgrade: str = "") -> str:
        text = upgrade or request.args.get("id", "")
        return _upgrade_page(context, text) if text else _upgrades_page(context)

    @blueprint.get("/search")
    def search() -> Response:
        text = request.args.get("q", "").strip()
        with context.queue() as view:
            return redirect(_place_of(view, text))


def _device_page(context: PageContext, text: str) -> str:
    try:
        device, before = read_device(text), read_position(request.args.get("before", ""))
    except ValueError as problem:
        fail(404, "No device has this id", str(problem))
    wanted = Wanted(EntryFilter(device=device))
    with context.queue() as view:
        now = view.now()
        limits = Limits(matches=PAGE_ROWS)
        result = context.search.run(
            view.client, view.partitions, wanted, before=before, limits=limits
        )
        far = _how_far(
            result, view, before, now, lambda position: device_link(text, before=position)
        )
    rows = [message_row(entry) for entry in result.entries]
    upgrades = [] if before else track_upgrades(result.entries)
    states = [
        (upgrade, stage, entry)
        for upgrade in upgrades
        for name, stage, entry in devices_by_urgency(upgrade)
        if device.names(name)
    ]
    return render(
        "device.html", now, device=text, rows=rows, far=far, states=states, before=before,
        newest=device_link(text), account=only_one(row.account for row in rows),
    )  # fmt: skip


def _upgrade_page(context: PageContext, text: str) -> str:
    try:
        before = read_position(request.args.get("before", ""))
    except ValueError as problem:
        fail(400, "This cannot be searched for", str(problem))

    def link_from(position: str) -> str:
        return upgrade_link(text, before=position)

    with context.queue() as view:
        now = view.now()
        limits = Limits(matches=PAGE_ROWS if before else MAX_UPGRADE_MESSAGES)
        result = context.search.run(
            view.client, view.partitions, Wanted(subject=text), before=before, limits=limits
        )
        far = _how_far(result, view, before, now, link_from, matches=limits.matches)
    shown = result.entries[:PAGE_ROWS]
    upgrades = []
    if not before:
        complete = result.stopped_at is None
        # In a native thread, so that the messages of this process wait a few milliseconds at most.
        upgrades = _thread.run(
            lambda: track_upgrades(result.entries, complete=complete), PARSE_TIMEOUT_S
        )
    upgrade = next((found for found in upgrades if found.id == text), next(iter(upgrades), None))
    devices = devices_by_urgency(upgrade) if upgrade else []
    rows = [message_row(entry) for entry in shown]
    return render(
        "upgrade.html", now, id=text, upgrade=upgrade, rows=rows, far=far, before=before,
        messages_read=len(result.entries),
        older=link_from(str(Position.of(shown[-1]))) if len(result.entries) > len(shown) else "",
        devices=[(device, stage, message_row(entry)) for device, stage, entry in devices[:MAX_DEVICE_ROWS]],
        device_count=len(devices), newest=upgrade_link(text),
        account=only_one(row.account for row in rows),
    )  # fmt: skip


def _upgrades_page(context: PageContext) -> str:
    try:
        before = read_position(request.args.get("before", ""))
    except ValueError as problem:
        fail(400, "This cannot be searched for", str(problem))
    wanted = Wanted(EntryFilter(kinds=UPGRADE_KINDS))
    with context.queue() as view:
        now = view.now()
        limits = Limits(matches=Limits.entries)
        result = context.search.run(
            view.client, view.partitions, wanted, before=before, limits=limits, fields=LIST_FIELDS
        )
        far = _how_far(
            result, view, before, now, lambda position: link("/upgrades", before=position)
        )
    sums = sum_up(result.entries)
    return render(
        "upgrades.html", now, sums=sums[:MAX_UPGRADE_ROWS], more=len(sums) - MAX_UPGRADE_ROWS,
        far=far, before=before, kinds=UPGRADE_KINDS, account=only_one(it.account for it in sums),
    )  # fmt: skip


def _how_far(
    result: SearchResult,
    view: QueueView,
    before: Position | None,
    now: datetime,
    link_from: Callable[[str], str],
    *,
    matches: int = PAGE_ROWS,
) -> HowFar:
    total = sum(stream.entries for stream in view.streams)
    return how_far(result, before=before, total=total, now=now, link=link_from, matches=matches)


def _place_of(view: QueueView, text: str) -> str:
    """The page that a text in the search box is about."""
    if ENTRY_ID.fullmatch(text) and max(entry_ids.parse(text)) <= entry_ids.MAX_PART:
        for partition in view.partitions:
            if view.client.xrange(partition.messages, text, text, count=1):
                return entry_link(partition.number, text)
    if MESSAGE_ID.fullmatch(text.lower()):
        return link("/messages", id=text.lower())
    if UPGRADE_ID.fullmatch(text) and not normalized(text).isdecimal():
        is_whole = len(normalized(text)) == 32
        return upgrade_link(text) if is_whole else link("/messages", upgrade=text)
    return device_link(text) or "/messages"
