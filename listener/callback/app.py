"""Builds the Flask application of the public port, in the order in which its parts depend on each other."""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from flask import Flask, request
from werkzeug.exceptions import HTTPException

from listener.callback import responses
from listener.callback.incoming import Incoming
from listener.callback.readiness import Readiness
from listener.callback.view import Endpoint
from listener.errors import RefusalError
from listener.queue.queue import Queue
from listener.refusal_log import RefusalLog
from listener.settings.settings import Settings

REASON_OF_STATUS = {404: "not-found", 405: "method-not-allowed"}


class Receiver(Flask):
    """A Flask application in which whatever is no health check goes to the endpoint.

    To all paths alike, so that a wrong token and a wrong path cannot be told apart, and without
    Flask's routing, contexts and objects, of which the endpoint uses nothing (docs/adr/0009).
    """

    def __init__(self, endpoint: Endpoint, readiness: Readiness, refusals: RefusalLog) -> None:
        """Takes what answers, and what tells of those who are refused."""
        super().__init__("listener", static_folder=None)
        # A redirect would tell a stranger which paths exist.
        self.url_map.merge_slashes = False
        self.url_map.strict_slashes = False
        self.register_blueprint(responses.health(readiness))
        self.register_error_handler(
            Exception, lambda error: self._answer_error(error, Incoming(request.environ))
        )
        self._endpoint = endpoint
        self._refusals = refusals

    def wsgi_app(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Serves one request; Flask's own entrance."""
        if responses.is_health(environ["PATH_INFO"]):
            return super().wsgi_app(environ, start_response)
        incoming = Incoming(environ)
        try:
            answer = self._endpoint.receive(incoming)
        except Exception as error:  # noqa: BLE001 (here every error becomes an answer)
            answer = self._answer_error(error, incoming)
        return answer(environ, start_response)

    def _answer_error(self, error: Exception, incoming: Incoming) -> responses.Answer:
        """The one place where errors become answers."""
        refusal = _refusal(error)
        # Of an error of our own code, and only of that, its traceback tells more.
        known = isinstance(error, RefusalError | HTTPException)
        more: dict[str, Any] = {} if known else {"exc_info": error}
        more["request_id"] = incoming.request_id
        if refusal.answer.status < 500:
            self._refusals.note(refusal, **more)
        elif responses.is_health(incoming.path):
            # A question was answered; no message was refused.
            self._refusals.tell(refusal, "not ready", **more)
        else:
            self._refusals.note(refusal, "message not kept", **more)
        return responses.problem(refusal, incoming.path)


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
    endpoint = Endpoint(settings, queue, now, clock)
    return Receiver(endpoint, Readiness(queue, clock), RefusalLog(clock))


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
