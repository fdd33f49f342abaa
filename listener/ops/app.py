"""Builds the application of the operating port."""

import time
from collections.abc import Callable
from functools import cache

import structlog
from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import (
    Forbidden,
    HTTPException,
    InternalServerError,
    MisdirectedRequest,
)

from listener.callback.readiness import Readiness
from listener.callback.responses import from_problem
from listener.errors import ProblemType, QueueUnavailableError
from listener.ops.hosts import AllowedHosts, is_of_another_site
from listener.ops.metrics_endpoint import exposition
from listener.ops.openapi import document
from listener.ops.scrape_gauges import gauges
from listener.ops.status_page.page import page
from listener.ops.status_page.snapshot import Overviews
from listener.ops.version import version
from listener.problem_responses import problem_response
from listener.queue.queue import MessageQueue
from listener.refusal_log import LogRateLimiter
from listener.settings.settings import Settings
from listener.text import truncate

log = structlog.get_logger("listener")

ADVICE = "if it is one of yours, add it to OPS_HOSTS"
# Of a Host header, in the log.
MOST_OF_HOST = 100
# For answers that are no page.
NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


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
    _guard(app, settings, LogRateLimiter(clock))
    described = cache(document)

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
        return jsonify(described(settings))

    app.register_blueprint(page(settings, Overviews(settings, readiness, clock)))
    app.register_error_handler(HTTPException, _answer_error)
    app.register_error_handler(Exception, _answer_failure)
    app.after_request(_secure)
    return app


def _guard(app: Flask, settings: Settings, throttle: LogRateLimiter) -> None:
    """Answers 421 or 403 to strangers' pages, at every path, before anything else: see `listener.ops.hosts`."""
    bound = [settings.ops_bind[0]] if settings.ops_bind else []
    hosts = AllowedHosts([*bound, *settings.ops_hosts])

    def tell(reason: str, **details: str) -> None:
        suppressed = throttle.allow(reason)
        if suppressed is not None:
            log.warning(
                "operating request refused", reason=reason, **details, suppressed=suppressed
            )

    @app.before_request
    def refuse_strangers_pages() -> None:
        host = request.headers.get("Host")
        if not hosts.allow(host, request.environ.get("RAW_URI", "/")):
            tell("host", host=truncate(host or "", MOST_OF_HOST), advice=ADVICE)
            raise MisdirectedRequest
        if is_of_another_site(dict(request.headers)):
            tell("cross-site", origin=truncate(request.headers.get("Origin", ""), MOST_OF_HOST))
            raise Forbidden


def _answer_failure(error: Exception) -> Response:
    """Answers an unexpected exception, and logs it with its traceback."""
    log.error("operating request failed", route=str(request.url_rule), exc_info=error)
    return _answer_error(InternalServerError())


def _answer_error(error: HTTPException) -> Response:
    """Answers as the public port does; the reason word is the status phrase."""
    reason = error.name.lower().replace(" ", "-")
    allow = [value for name, value in error.get_headers() if name == "Allow"]
    return from_problem(
        problem_response(
            reason,
            ProblemType(error.code or 500, error.name),
            *(("Allow", methods) for methods in allow),
        )
    )


def _secure(answer: Response) -> Response:
    answer.headers.setdefault("Content-Security-Policy", NOTHING)
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Referrer-Policy"] = "no-referrer"
    answer.headers["Cache-Control"] = "no-store"
    # No page of another origin may embed an answer, nor keep a hold on the window that shows one.
    answer.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    answer.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    return answer
