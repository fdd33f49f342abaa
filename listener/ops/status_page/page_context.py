"""What the routes of all pages share: the settings, the search, how a page is rendered, and how one fails."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NoReturn

from flask import Response, abort, make_response, render_template, request

from listener import __version__
from listener.inspection.queue_view import QueueView, RedisFailedError
from listener.inspection.search.backward_search import BackwardSearch
from listener.ops.queue_connection import open_queue_view
from listener.ops.status_page import formats
from listener.settings.settings import Settings


@dataclass(frozen=True)
class PageContext:
    """Given to the routes of each group of pages."""

    settings: Settings
    search: BackwardSearch = field(default_factory=BackwardSearch)

    @contextmanager
    def queue(self) -> Iterator[QueueView]:
        """The queue; answers the request with 503 if Redis fails within the block."""
        try:
            with open_queue_view(self.settings) as view:
                yield view
        except RedisFailedError as failure:
            fail(503, "Redis does not answer", str(failure))


def render(template: str, now: datetime, **values: Any) -> str:
    """A page. `now` is what ages are counted from."""
    return render_template(
        template,
        version=__version__,
        now=now,
        time_ago=lambda moment: formats.ago(moment, now),
        time_at=lambda moment: formats.at(moment, now),
        **values,
    )


def fail(status: int, headline: str, text: str = "") -> NoReturn:
    """Ends a request with a page that says what is wrong; with a problem where no browser asks."""
    if "text/html" not in request.headers.get("Accept", ""):
        abort(status)
    page = render_template("failure.html", version=__version__, headline=headline, text=text)
    response: Response = make_response(page, status)
    abort(response)
