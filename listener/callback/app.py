"""Builds the Flask application of the public port, in the order in which its parts depend on each other."""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from flask import Flask, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from listener.callback import responses
from listener.callback.incoming import Incoming
from listener.callback.readiness import Readiness
from listener.callback.view import Endpoint
from listener.errors import (
    MalformedRequestError,
    MethodNotAllowedError,
    NotFoundError,
    RefusalError,
)
from listener.problem_responses import ProblemResponder
from listener.queue.queue import Queue
from listener.settings.settings import Settings


class Receiver(Flask):
    """A Flask application in which whatever is no health check goes to the endpoint.

    To all paths alike, so that a wrong token and a wrong path cannot be told apart, and without
    Flask's routing, contexts and objects, of which the endpoint uses nothing (docs/adr/0009).
    """

    def __init__(
        self, endpoint: Endpoint, readiness: Readiness, problems: ProblemResponder
    ) -> None:
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
        self._problems = problems

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
        if isinstance(error, HTTPException):
            error = _refusal(error)
        if (
            isinstance(error, RefusalError)
            and error.status >= 500
            and responses.is_health(incoming.path)
        ):
            response = self._problems.respond_not_ready(error, request_id=incoming.request_id)
        else:
            proven = getattr(error, "proven", False)
            response = self._problems.respond(
                error, authenticated=proven, request_id=incoming.request_id
            )
        return responses.problem(response)


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
    return Receiver(endpoint, Readiness(queue, clock), ProblemResponder(clock))


def _refusal(error: HTTPException) -> RefusalError:
    if isinstance(error, NotFound):
        return NotFoundError(type(error).__name__)
    if isinstance(error, MethodNotAllowed):
        return MethodNotAllowedError("GET, HEAD")
    return MalformedRequestError(type(error).__name__)
