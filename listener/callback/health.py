"""The health checks of the public port: alive without any I/O, ready if a message could be kept now."""

from flask import Blueprint, Response

from listener.callback.readiness_cache import Readiness
from listener.callback.request import current_request
from listener.callback.responses import from_problem, json_response
from listener.callback.routing import route_all_methods
from listener.errors import MethodNotAllowedError, QueueUnavailableError
from listener.problem_responses import ProblemResponder


def health_checks(readiness: Readiness, problems: ProblemResponder) -> Blueprint:
    """The blueprint with both routes."""
    health = Blueprint("health", __name__)

    @health.before_request
    def allow_reading_only() -> None:
        if current_request().method not in ("GET", "HEAD"):
            raise MethodNotAllowedError("GET, HEAD")

    @health.errorhandler(QueueUnavailableError)
    def not_ready(error: QueueUnavailableError) -> Response:
        return from_problem(
            problems.respond_not_ready(error, request_id=current_request().request_id)
        )

    def alive() -> Response:
        return json_response(status="alive")

    def ready() -> Response:
        return json_response(status="ready", keeper=readiness.check())

    route_all_methods(health, "/healthz", "alive", alive)
    route_all_methods(health, "/readyz", "ready", ready)
    return health
