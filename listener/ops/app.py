"""Builds the application of the operating port."""

import time
from collections.abc import Callable

import structlog
from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException, InternalServerError, MethodNotAllowed

from listener.errors import QueueUnavailableError
from listener.health import Readiness
from listener.ops.exposition import exposition
from listener.ops.openapi import document
from listener.ops.overview import Overviews
from listener.ops.page import page
from listener.ops.state import gauges
from listener.ops.version import version
from listener.queue.keeper import Queue
from listener.settings import Settings

log = structlog.get_logger("listener")

# For answers that are no page.
NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def create_ops_app(
    settings: Settings, *, queue: Queue, clock: Callable[[], float] = time.monotonic
) -> Flask:
    """The WSGI application of OPS_BIND.

    Args:
        settings: those of the public port.
        queue: the one of the public port.
        clock: monotonic seconds.
    """
    app = Flask("listener.ops", static_folder=None)
    readiness = Readiness(queue, clock)

    @app.get("/healthz")
    def alive() -> Response:
        return jsonify(status="alive")

    @app.get("/readyz")
    def ready() -> tuple[Response, int]:
        try:
            return jsonify(status="ready", keeper=readiness.check()), 200
        except QueueUnavailableError as problem:
            return jsonify(status="not-ready", reason=problem.reason, detail=problem.detail), 503

    @app.get("/metrics")
    def told_metrics() -> Response:
        body, content_type = exposition(gauges(settings), request.headers.get("Accept", ""))
        return Response(body, content_type=content_type)

    @app.get("/version")
    def told_version() -> Response:
        return jsonify(version())

    @app.get("/openapi.json")
    def told_openapi() -> Response:
        return jsonify(document(settings))

    app.register_blueprint(page(settings, Overviews(settings, readiness, clock)))
    app.register_error_handler(HTTPException, _answer_error)
    app.register_error_handler(Exception, _answer_failure)
    app.after_request(_secure)
    return app


def _answer_failure(error: Exception) -> tuple[Response, int]:
    """A fault of ours; its traceback is for the log."""
    log.error("operating request failed", route=str(request.url_rule), exc_info=error)
    return _answer_error(InternalServerError())


def _answer_error(error: HTTPException) -> tuple[Response, int]:
    status = error.code or 500
    answer = jsonify(type="about:blank", title=error.name, status=status)
    answer.mimetype = "application/problem+json"
    if isinstance(error, MethodNotAllowed):
        answer.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
    return answer, status


def _secure(answer: Response) -> Response:
    answer.headers.setdefault("Content-Security-Policy", NOTHING)
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Referrer-Policy"] = "no-referrer"
    answer.headers["Cache-Control"] = "no-store"
    return answer
