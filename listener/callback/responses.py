"""The forms of the public port's answers, and its two health checks."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson
from flask import Blueprint

from listener.callback.readiness import Readiness
from listener.errors import RefusalError
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


def problem(refusal: RefusalError, path: str) -> Answer:
    """An RFC 9457 answer that tells the reason and repeats nothing of the request.

    Args:
        refusal: what is told.
        path: at which it was asked; decides only which methods are said to be allowed there.
    """
    status = refusal.answer.status
    headers: tuple[tuple[str, str], ...] = ()
    if status == 405:
        headers = (("Allow", "GET, HEAD" if is_health(path) else "POST"),)
    if status == 503:
        # The provider's second attempt has been seen 1.2 to 1.7 s after the first, on a sibling
        # service; it is not known whether it reads this.
        headers = (("Retry-After", "1"),)
    return Answer(status, "application/problem+json", _written(refusal.problem()), headers)


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
        raise RefusalError("method-not-allowed")

    return routes


def is_health(path: str) -> bool:
    """Whether a path is that of a health check, with a slash at its end or without."""
    return path.removesuffix("/") in RESERVED_PATHS
