"""The forms of the public port's answers, and its two health checks."""

import orjson
from flask import Blueprint, Response

from listener.errors import RefusalError
from listener.forms import RESERVED_PATHS
from listener.health import Readiness

# All but GET and HEAD.
OTHER_METHODS = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


def answer(**members: object) -> Response:
    """An answer of 200: a JSON object."""
    return Response(orjson.dumps(members), mimetype="application/json")


def problem(refusal: RefusalError, path: str) -> Response:
    """An RFC 9457 answer that tells the reason and repeats nothing of the request.

    Args:
        refusal: what is told.
        path: at which it was asked; decides only which methods are said to be allowed there.
    """
    status = refusal.answer.status
    body = orjson.dumps(refusal.problem())
    response = Response(body, status, mimetype="application/problem+json")
    if status == 405:
        response.headers["Allow"] = "GET, HEAD" if is_health(path) else "POST"
    if status == 503:
        # The provider's second attempt has been seen 1.2 to 1.7 s after the first, on a sibling
        # service; it is not known whether it reads this.
        response.headers["Retry-After"] = "1"
    return response


def health(readiness: Readiness) -> Blueprint:
    """The routes of the health checks."""
    routes = Blueprint("health", __name__)

    @routes.get("/healthz", provide_automatic_options=False)
    def alive() -> Response:
        return answer(status="alive")

    @routes.get("/readyz", provide_automatic_options=False)
    def ready() -> Response:
        return answer(status="ready", keeper=readiness.check())

    @routes.route("/healthz", methods=OTHER_METHODS, provide_automatic_options=False)
    @routes.route("/readyz", methods=OTHER_METHODS, provide_automatic_options=False)
    def only_asked() -> Response:
        raise RefusalError("method-not-allowed")

    return routes


def is_health(path: str) -> bool:
    """Whether a path is that of a health check, with a slash at its end or without."""
    return path.removesuffix("/") in RESERVED_PATHS
