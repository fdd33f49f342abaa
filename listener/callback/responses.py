"""The forms of the public port's answers, and its two health checks."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson
from flask import Blueprint

from listener.callback.readiness import Readiness
from listener.errors import MethodNotAllowedError
from listener.problem_responses import CONTENT_TYPE, ProblemResponse
from listener.settings.parsers import RESERVED_PATHS

# All but GET and HEAD.
OTHER_METHODS = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


@dataclass(frozen=True)
class Answer:
    """An answer whose every part is known when it is made: a WSGI application that gives it."""

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()

    def __call__(self, _environ: object, start_response: Any) -> list[bytes]:
        """Gives it."""
        size = ("Content-Length", str(len(self.body)))
        headers = [("Content-Type", self.content_type), size, *self.headers]
        start_response(STATUS_LINES[self.status], headers)
        return [self.body]


def answer(**members: object) -> Answer:
    """An answer of 200: a JSON object."""
    return Answer(200, "application/json", _written(members))


def problem(response: ProblemResponse) -> Answer:
    """The answer to an error."""
    status, headers, body = response
    return Answer(int(status[:3]), CONTENT_TYPE, body, tuple(headers[2:]))


def _written(members: dict[str, object]) -> bytes:
    # With an end of line, for those who ask by hand in a terminal.
    return orjson.dumps(members, option=orjson.OPT_APPEND_NEWLINE)


def health(readiness: Readiness) -> Blueprint:
    """The routes of the health checks."""
    routes = Blueprint("health", __name__)

    @routes.get("/healthz", provide_automatic_options=False)
    def alive() -> Answer:
        return answer(status="alive")

    @routes.get("/readyz", provide_automatic_options=False)
    def ready() -> Answer:
        return answer(status="ready", keeper=readiness.check())

    @routes.route("/healthz", methods=OTHER_METHODS, provide_automatic_options=False)
    @routes.route("/readyz", methods=OTHER_METHODS, provide_automatic_options=False)
    def only_asked() -> Answer:
        raise MethodNotAllowedError("GET, HEAD")

    return routes


def is_health(path: str) -> bool:
    """Whether a path is that of a health check, with a slash at its end or without."""
    return path.removesuffix("/") in RESERVED_PATHS
