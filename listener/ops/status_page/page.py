"""The status page's Flask blueprint: renders the page of the whole service, and the page of one message."""

import json
from datetime import datetime
from itertools import islice
from typing import Any

from flask import Blueprint, Response, abort, render_template

from listener import __version__, entry_ids
from listener.inspection.entry_text import data_of, details
from listener.inspection.pages import Projection, pages
from listener.inspection.queue_view import RedisFailedError
from listener.inspection.stream_entry import StreamEntry
from listener.messages.kinds import KIND_NAMES
from listener.ops.queue_connection import open_queue_view
from listener.ops.status_page.chart import BAR_WIDTH, HEIGHT, HOURS, draw_chart
from listener.ops.status_page.snapshot import CachedSnapshot, Snapshot
from listener.ops.status_page.summary import headline, tiles
from listener.queue.keys import QUARANTINED, every_partition
from listener.settings.settings import Settings
from listener.text import escape, truncate
from listener.times import format_duration

CHART_KINDS = (*KIND_NAMES, QUARANTINED)
# Of a text from outside, such as an account's name: the page is read at a glance.
MAX_TEXT_LENGTH = 120
# Of a value on the page of one message; formatting more would delay the messages that this process receives.
MAX_VALUE_BYTES = 2**18
MAX_PROBLEMS = 20
MAX_DETAILS = 6
# Only the page's own style sheet and script, and nothing of another origin.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def status_page_blueprint(settings: Settings, cached_snapshot: CachedSnapshot) -> Blueprint:
    """The routes of the page. They show messages, and no secret: none is in the data that they read."""
    blueprint = Blueprint(
        "page",
        __name__,
        template_folder="templates",
        static_folder="static",
        static_url_path="/static",
    )

    @blueprint.get("/")
    def status() -> str:
        return _render_status(cached_snapshot.get())

    @blueprint.get("/messages/<int:partition>/<entry_id>")
    def message(partition: int, entry_id: str) -> str:
        try:
            entry = _read_entry(settings, partition, entry_id)
        except RedisFailedError:
            # The status page says what is wrong with Redis.
            abort(503)
        if entry is None:
            abort(404)
        return _render_message(entry)

    @blueprint.app_template_filter("printable")
    def printable(text: object, max_length: int = MAX_TEXT_LENGTH) -> str:
        return truncate(text, max_length)

    @blueprint.after_request
    def restrict(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        return response

    return blueprint


def _render_status(snapshot: Snapshot) -> str:
    chart = draw_chart(snapshot.arrivals, CHART_KINDS, int(snapshot.host_time.timestamp()) // 60)
    level, sentence = headline(snapshot)
    return render_template(
        "status.html",
        snapshot=snapshot,
        level=level,
        headline=sentence,
        tiles=tiles(snapshot, chart),
        chart=chart,
        bar_width=BAR_WIDTH,
        height=HEIGHT,
        hours=HOURS,
        summary=_summary,
        version=__version__,
        age=lambda moment: _age(moment, snapshot.now),
        duration=format_duration,
        max_problems=MAX_PROBLEMS,
    )


def _render_message(entry: StreamEntry) -> str:
    size = entry.cut.get("data", 0)
    # JSON without its end cannot be parsed, so it is shown as it is.
    data = escape(entry.fields["data"]) if size else _format_json(data_of(entry.fields))
    return render_template(
        "message.html",
        entry=entry,
        data=data,
        size=size,
        max_bytes=MAX_VALUE_BYTES,
        version=__version__,
    )


def _format_json(data: Any) -> str:
    """Indented JSON; characters that are not printable, or would reverse the text, are escaped."""
    try:
        lines = json.dumps(data, indent=2, ensure_ascii=False).split("\n")
    except RecursionError:
        lines = ["nested too deeply to be shown"]
    return "\n".join(escape(line) for line in lines)


def _summary(entry: StreamEntry) -> str:
    """The first few details of a message on one line, such as its device and its status."""
    return ", ".join(islice(details(data_of(entry.fields)), MAX_DETAILS))


def _age(moment: datetime | str | None, now: datetime) -> str:
    """How long ago a moment was; a text that is no time is returned as it is."""
    if moment is None:
        return "unknown"
    try:
        time = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        return f"{format_duration(max((now - time).total_seconds(), 0))} ago"
    except (ValueError, TypeError):
        return truncate(moment, MAX_TEXT_LENGTH)


def _read_entry(settings: Settings, partition: int, entry_id: str) -> StreamEntry | None:
    """One entry of the queue; None: there is none.

    Raises:
        RedisFailedError: Redis did not answer.
    """
    partitions = every_partition(settings.queue.namespace, settings.queue.partitions)
    if partition >= len(partitions) or not entry_ids.PATTERN.fullmatch(entry_id):
        return None
    if max(entry_ids.parse(entry_id)) > entry_ids.MAX_PART:
        return None
    stream = partitions[partition].messages
    projection = Projection(max_value_bytes=MAX_VALUE_BYTES, max_entries=1)
    with open_queue_view(settings) as view:
        entry_pages = pages(
            view.client, stream, entry_id, entry_id, projection=projection, partition=partition
        )
        page = next(entry_pages, None)
    return page.entries[0] if page else None
