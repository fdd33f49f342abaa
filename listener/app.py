"""Builds the Flask application, in the order in which its parts depend on each other."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from listener import views
from listener.errors import RefusalError
from listener.health import Readiness
from listener.queue.keeper import Queue
from listener.settings import Settings

log = structlog.get_logger("listener")

REASON_OF_STATUS = {404: "not-found", 405: "method-not-allowed"}


def create_app(
    settings: Settings,
    *,
    queue: Queue,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    clock: Callable[[], float] = time.monotonic,
) -> Flask:
    """The WSGI application.

    Args:
        settings: checked ones.
        queue: where messages go; closing it is the caller's.
        now: the time of day, with a time zone.
        clock: monotonic seconds.
    """
    app = Flask("listener", static_folder=None)
    # A redirect would tell a stranger which paths exist, and a sender of POSTs nothing.
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    app.register_blueprint(views.public(settings, queue, Readiness(queue, clock), now))
    app.register_error_handler(Exception, _answer_error)
    return app


def _answer_error(error: Exception) -> Response:
    """The one place where errors become answers."""
    refusal = _refusal(error)
    if refusal.answer.status >= 500:
        known = isinstance(error, RefusalError)
        log.error(
            "not ready" if request.path == "/readyz" else "message not kept",
            reason=refusal.reason,
            detail=refusal.detail,
            request_id=views.request_id(),
            exc_info=None if known else error,
        )
    else:
        log.warning(
            "request refused",
            reason=refusal.reason,
            detail=refusal.detail,
            request_id=views.request_id(),
        )
    return views.problem(refusal)


def _refusal(error: Exception) -> RefusalError:
    if isinstance(error, RefusalError):
        return error
    if isinstance(error, HTTPException):
        reason = REASON_OF_STATUS.get(error.code or 500, "bad-request")
        return RefusalError(reason, type(error).__name__)
    return RefusalError("internal-error", type(error).__name__)
