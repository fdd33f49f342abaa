"""The Flask application of the operating port: its routes, its error handlers and the headers of every response."""

import time
from collections.abc import Callable
from functools import cache

import structlog
from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException, InternalServerError, MethodNotAllowed, NotFound

from listener.callback.readiness_cache import Readiness
from listener.callback.responses import from_problem
from listener.errors import ProblemType, QueueUnavailableError
from listener.ops.metrics_endpoint import render_metrics
from listener.ops.openapi import openapi_document
from listener.ops.request_guard import guard_requests
from listener.ops.status_page.page import status_page_blueprint
from listener.ops.status_page.page_context import accepts_pages, failure_page
from listener.ops.status_page.snapshot import CachedSnapshot
from listener.ops.version import version_info
from listener.problem_responses import problem_response
from listener.queue.queue import MessageQueue
from listener.settings.settings import Settings

log = structlog.get_logger("listener")

# For responses that are not HTML pages; the status page has a policy of its own.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    # No page of another origin may embed a response, or keep a reference to the window that shows one.
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def create_ops_app(
    settings: Settings, *, queue: MessageQueue, clock: Callable[[], float] = time.monotonic
) -> Flask:
    """The WSGI application of OPS_BIND.

    Args:
        settings: those of the public port.
        queue: the one of the public port.
        clock: monotonic seconds.
    """
    app = Flask("listener.ops", static_folder=None)
    readiness = Readiness(queue, clock)
    guard_requests(app, settings, clock)
    # The settings never change, so the document is built once, at the first request for it.
    document = cache(openapi_document)

    @app.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="alive")

    @app.get("/readyz")
    def readyz() -> tuple[Response, int]:
        try:
            return jsonify(status="ready", keeper=readiness.check()), 200
        except QueueUnavailableError as problem:
            return jsonify(status="not-ready", reason=problem.reason, detail=problem.detail), 503

    @app.get("/metrics")
    def metrics() -> Response:
        body, content_type = render_metrics(settings, request.headers.get("Accept", ""))
        return Response(body, content_type=content_type)

    @app.get("/version")
    def version() -> Response:
        return jsonify(version_info())

    @app.get("/openapi.json")
    def openapi() -> Response:
        return jsonify(document(settings))

    snapshot = CachedSnapshot(settings, readiness, clock)
    app.register_blueprint(status_page_blueprint(settings, snapshot))
    app.register_error_handler(HTTPException, _respond_to_http_error)
    app.register_error_handler(Exception, _respond_to_unexpected)
    app.after_request(_add_security_headers)
    return app


def _respond_to_http_error(error: HTTPException) -> Response:
    """Responds in the same form as the public port; the reason word is the status phrase.

    Somebody who follows a link to a page that is not there gets a page.
    """
    if isinstance(error, NotFound) and accepts_pages():
        return failure_page(404, "There is no such page")
    reason = error.name.lower().replace(" ", "-")
    headers = []
    if isinstance(error, MethodNotAllowed):
        # werkzeug's own header has the methods of a set, in another order in each process.
        headers.append(("Allow", ", ".join(sorted(error.valid_methods or ()))))
    return from_problem(
        problem_response(reason, ProblemType(error.code or 500, error.name), *headers)
    )


def _respond_to_unexpected(error: Exception) -> Response:
    """Responds with 500 to an unexpected exception, and logs it with its traceback."""
    log.error("operating request failed", route=str(request.url_rule), exc_info=error)
    return _respond_to_http_error(InternalServerError())


def _add_security_headers(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    response.headers.update(SECURITY_HEADERS)
    return response
