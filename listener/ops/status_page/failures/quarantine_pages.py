"""The page of quarantined messages, grouped by reason, and the page of one of them."""

from flask import Blueprint

from listener.inspection.quarantined_messages import newest_quarantined
from listener.ops.status_page.failures.failure_groups import by_reason
from listener.ops.status_page.formats import commands, format_lines, parse_time
from listener.ops.status_page.one_entry import MAX_VALUE_BYTES, find_partition, read_entry
from listener.ops.status_page.page_context import PageContext, fail, render

MAX_QUARANTINED = 200
MAX_ROWS = 20


def add_quarantine_pages(blueprint: Blueprint, context: PageContext) -> None:
    """Adds the routes."""

    @blueprint.get("/quarantine")
    def quarantine() -> str:
        return _by_reason(context)

    @blueprint.get("/quarantine/<entry_id>")
    def quarantined(entry_id: str) -> str:
        return _one(context, entry_id)


def _by_reason(context: PageContext) -> str:
    with context.queue() as view:
        now, stream = view.now(), view.partitions[0]
        messages = newest_quarantined(view.client, stream, MAX_QUARANTINED)
        total = view.client.xlen(stream.quarantine)
    return render(
        "quarantine.html", now, groups=by_reason(messages), read=len(messages), total=total,
        max_rows=MAX_ROWS,
        commands=lambda reason: commands(("quarantine", "replay", "--reason", reason)),
    )  # fmt: skip


def _one(context: PageContext, entry_id: str) -> str:
    where = find_partition(context, 0, entry_id)
    with context.queue() as view:
        now = view.now()
        entry = read_entry(view, where.quarantine, entry_id, 0) if where else None
    if entry is None:
        fail(404, "There is no such message", "It was replayed or dropped, or never was.")
    return render(
        "quarantined.html", now, entry=entry, size=entry.cut.get("data", 0), max_bytes=MAX_VALUE_BYTES,
        data=format_lines(entry.fields.get("data", "")),
        arrived=parse_time(entry.fields.get("time")),
        commands=commands(("quarantine", "replay", entry.entry_id), ("quarantine", "drop", entry.entry_id)),
    )  # fmt: skip
