"""The status page: what an operator wants to know on the day of a campaign, at a glance."""

import json
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, abort, render_template

from listener import __version__
from listener.lines import data_of
from listener.moments import ENTRY_ID_FORM, age_s, duration
from listener.ops.chart import HEIGHT, HOURS, WIDTH, chart
from listener.ops.overview import NAME, TIMEOUT_S, Overview, Overviews
from listener.queue.arrivals import QUARANTINED
from listener.queue.keys import every_partition
from listener.queue.reader import Entry
from listener.queue.view import connected
from listener.settings import Settings
from listener.thingspace import KINDS, UNKNOWN

DRAWN = (*KINDS.values(), UNKNOWN, QUARANTINED)
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
        entry = _entry(settings, partition, entry_id)
        if entry is None:
            abort(404)
        shown = json.dumps(data_of(entry.fields), indent=2, ensure_ascii=False)
        return render_template("message.html", entry=entry, data=shown, version=__version__)

    @routes.after_request
    def restrict(answer: Response) -> Response:
        answer.headers["Content-Security-Policy"] = POLICY
        return answer

    return routes


def _rendered(template: str, seen: Overview) -> str:
    return render_template(
        template,
        seen=seen,
        chart=chart(seen.arrivals, DRAWN, int(seen.now.timestamp()) // 60),
        width=WIDTH,
        height=HEIGHT,
        hours=HOURS,
        version=__version__,
        since=lambda moment: _since(moment, seen.now),
        duration=duration,
        age=lambda entry_id: duration(age_s(entry_id, seen.now)),
    )


def _since(moment: datetime | str | None, now: datetime) -> str:
    """How long ago; of a text that is no time, the text."""
    if moment is None:
        return "unknown"
    try:
        at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        return f"{duration(max((now - at).total_seconds(), 0))} ago"
    except (ValueError, TypeError):
        return str(moment)


def _entry(settings: Settings, partition: int, entry_id: str) -> Entry | None:
    known = every_partition(settings.queue_namespace, settings.queue_partitions)
    if partition >= len(known) or not ENTRY_ID_FORM.fullmatch(entry_id):
        return None
    with connected(settings, timeout_s=TIMEOUT_S, name=NAME) as client:
        found: Any = client.xrange(known[partition].messages, entry_id, entry_id)
    return Entry(found[0][0], found[0][1], partition) if found else None
