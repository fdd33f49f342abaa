"""The status page: what an operator wants to know on the day of a campaign, at a glance."""

import json
from datetime import datetime
from itertools import islice
from typing import Any

from flask import Blueprint, Response, abort, render_template

from listener import __version__, entry_ids
from listener.inspection.entry_text import data_of, details
from listener.inspection.pages import Projection, StreamEntry, pages
from listener.inspection.queue_view import RedisFailedError
from listener.messages.kinds import KIND_NAMES
from listener.ops.queue_connection import open_queue_view
from listener.ops.status_page.chart import BAR, HEIGHT, HOURS, chart
from listener.ops.status_page.snapshot import Overview, Overviews
from listener.ops.status_page.summary import tiles, verdict
from listener.queue.keys import QUARANTINED, every_partition
from listener.settings.settings import Settings
from listener.text import escape, truncate
from listener.times import format_duration

DRAWN = (*KIND_NAMES, QUARANTINED)
# Of a text that somebody else wrote, and of things to look at: the page is to be read at a glance.
LONGEST = 120
# Of a value of a single message; printing more would hold up the messages that this process receives.
SHOWN_BYTES = 2**18
MOST_PROBLEMS = 20
MOST_DETAILS = 6
# Its own style sheet and script, and nothing from anywhere else.
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def page(settings: Settings, overviews: Overviews) -> Blueprint:
    """The routes of the page. They show messages, and no secret: none is in what they read."""
    routes = Blueprint(
        "page",
        __name__,
        template_folder="templates",
        static_folder="static",
        static_url_path="/static",
    )

    @routes.get("/")
    def status() -> str:
        return _rendered("status.html", overviews.current())

    @routes.get("/messages/<int:partition>/<entry_id>")
    def message(partition: int, entry_id: str) -> str:
        try:
            entry = _entry(settings, partition, entry_id)
        except RedisFailedError:
            # The page says what is wrong with Redis.
            abort(503)
        if entry is None:
            abort(404)
        # A text of which the end is missing is no JSON, and printing megabytes would hold up messages.
        whole = entry.cut.get("data", 0)
        data = escape(entry.fields["data"]) if whole else _printed(data_of(entry.fields))
        return render_template(
            "message.html",
            entry=entry,
            data=data,
            whole=whole,
            shown=SHOWN_BYTES,
            version=__version__,
        )

    @routes.app_template_filter("shown")
    def shown(text: object, most: int = LONGEST) -> str:
        return truncate(text, most)

    @routes.after_request
    def restrict(answer: Response) -> Response:
        answer.headers["Content-Security-Policy"] = POLICY
        return answer

    return routes


def _rendered(template: str, seen: Overview) -> str:
    drawn = chart(seen.arrivals, DRAWN, int(seen.counted_at.timestamp()) // 60)
    level, sentence = verdict(seen)
    return render_template(
        template,
        seen=seen,
        level=level,
        verdict=sentence,
        tiles=tiles(seen, drawn),
        chart=drawn,
        bar=BAR,
        height=HEIGHT,
        hours=HOURS,
        says=_says,
        version=__version__,
        since=lambda moment: _since(moment, seen.now),
        duration=format_duration,
        most_problems=MOST_PROBLEMS,
    )


def _printed(data: Any) -> str:
    """JSON for people to read; what does not print, or would turn the text round, as in JSON."""
    try:
        lines = json.dumps(data, indent=2, ensure_ascii=False).split("\n")
    except RecursionError:
        lines = ["nested too deeply to be shown"]
    return "\n".join(escape(line) for line in lines)


def _says(entry: StreamEntry) -> str:
    """What tells a message from the next, in a few words."""
    return ", ".join(islice(details(data_of(entry.fields)), MOST_DETAILS))


def _since(moment: datetime | str | None, now: datetime) -> str:
    """How long ago; of a text that is no time, the text."""
    if moment is None:
        return "unknown"
    try:
        at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        return f"{format_duration(max((now - at).total_seconds(), 0))} ago"
    except (ValueError, TypeError):
        return truncate(moment, LONGEST)


def _entry(settings: Settings, partition: int, entry_id: str) -> StreamEntry | None:
    known = every_partition(settings.queue.namespace, settings.queue.partitions)
    if partition >= len(known) or not entry_ids.PATTERN.fullmatch(entry_id):
        return None
    if max(entry_ids.parse(entry_id)) > entry_ids.MAX_PART:
        return None
    with open_queue_view(settings) as view:
        projection = Projection(max_value_bytes=SHOWN_BYTES, max_entries=1)
        stream = known[partition].messages
        page = next(
            pages(
                view.client, stream, entry_id, entry_id, projection=projection, partition=partition
            ),
            None,
        )
    return page.entries[0] if page else None
