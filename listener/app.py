"""Builds the Flask application, in the order in which its parts depend on each other."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from listener import views
from listener.errors import RefusalError
from listener.health import Readiness
from listener.queue.keeper import Queue
from listener.refusal_log import RefusalLog
from listener.settings import Settings

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
    app.register_blueprint(views.public(settings, queue, Readiness(queue, clock), now, clock))
    refusals = RefusalLog(clock)
    app.register_error_handler(Exception, lambda error: _answer_error(error, refusals))
    return app


def _answer_error(error: Exception, refusals: RefusalLog) -> Response:
    """The one place where errors become answers."""
    refusal = _refusal(error)
    # Of an error of our own code, and only of that, its traceback tells more.
    more = {} if isinstance(error, RefusalError | HTTPException) else {"exc_info": error}
    if refusal.answer.status < 500:
        refusals.note(refusal, request_id=views.request_id())
    elif request.path == "/readyz":
        # A question was answered; no message was refused.
        refusals.tell(refusal, "not ready", request_id=views.request_id(), **more)
    else:
        refusals.note(refusal, "message not kept", request_id=views.request_id(), **more)
    return views.problem(refusal)


def _refusal(error: Exception) -> RefusalError:
    if isinstance(error, RefusalError):
        return error
    if isinstance(error, HTTPException):
        reason = REASON_OF_STATUS.get(error.code or 500, "bad-request")
        return RefusalError(reason, type(error).__name__)
    failure = RefusalError("internal-error", type(error).__name__)
    # A fault of ours is told each time, whoever found it.
    failure.proven = True
    return failure
