"""What the routes of all pages share: the settings, the search, how a page is rendered, and how one fails."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any, NoReturn

from flask import Response, abort, jsonify, make_response, render_template, request

from listener import __version__
from listener.inspection.queue_view import QueueView, RedisFailedError
from listener.inspection.search.backward_search import BackwardSearch, SearchesBusyError
from listener.ops.queue_connection import open_queue_view
from listener.ops.status_page import formats
from listener.problem_responses import CONTENT_TYPE
from listener.settings.settings import Settings

# Only the page's own style sheet and script, its own search box, and nothing of another origin.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class PageContext:
    """Given to the routes of each group of pages."""

    settings: Settings
    search: BackwardSearch = field(default_factory=BackwardSearch)

    @contextmanager
    def queue(self) -> Iterator[QueueView]:
        """The queue; answers the request with 503 if Redis or the search fails within the block."""
        try:
            with open_queue_view(self.settings) as view:
                yield view
        except RedisFailedError as failure:
            fail(503, "The queue cannot be read", str(failure))
        except SearchesBusyError as busy:
            fail(503, "Too many searches run", f"{busy}. Try it again in a moment.")


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


def fail(
    status: int, headline: str, text: str = "", template: str = "failure.html", **values: Any
) -> NoReturn:
    """Ends a request with a page that says what is wrong; with a problem where no browser asks.

    Args:
        status: of the response.
        headline: what is wrong.
        text: a sentence; nothing that the request brought along.
        template: of the page.
        values: what the template has besides.
    """
    if accepts_pages():
        response = failure_page(status, headline, text, template, **values)
    else:
        response = _problem(HTTPStatus(status), ": ".join(filter(None, (headline, text))))
    abort(response)


def accepts_pages() -> bool:
    """Whether a browser asks; other clients get a problem in JSON."""
    return "text/html" in request.headers.get("Accept", "")


def failure_page(
    status: int, headline: str, text: str = "", template: str = "failure.html", **values: Any
) -> Response:
    """A page that says what is wrong; see `fail`."""
    page = render_template(template, version=__version__, headline=headline, text=text, **values)
    response: Response = make_response(page, status)
    restrict_page(response)
    return response


def restrict_page(response: Response) -> None:
    """Gives a page its policy; what is no page has a stricter one."""
    if response.mimetype == "text/html":
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY


def _problem(status: HTTPStatus, detail: str) -> Response:
    reason = status.phrase.lower().replace(" ", "-")
    response = jsonify(
        type="about:blank", title=status.phrase, status=status.value, reason=reason, detail=detail
    )
    response.status_code = status.value
    response.content_type = CONTENT_TYPE
    return response
