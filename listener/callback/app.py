"""The application factory of the public port."""

import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Flask, Request, Response
from flask.sessions import SessionInterface, SessionMixin
from werkzeug.exceptions import InternalServerError
from werkzeug.routing import Map, MapAdapter, Rule

from listener.callback.health import health_checks
from listener.callback.readiness_cache import Readiness
from listener.callback.request import CallbackRequest, current_request, hide
from listener.callback.responses import from_problem
from listener.callback.routing import route_all_methods
from listener.callback.view import CallbackView
from listener.errors import RefusalError
from listener.problem_responses import ProblemResponder
from listener.queue.queue import DurableQueue, MessageQueue
from listener.settings.settings import Settings


def create_app(
    settings: Settings | None = None,
    *,
    queue: MessageQueue | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    clock: Callable[[], float] = time.monotonic,
) -> Flask:
    """The Flask application of the public port.

    Args:
        settings: checked ones; those of the environment by default.
        queue: where messages go; closing it is the caller's. By default one of these settings.
        now: the time of day, with a time zone.
        clock: monotonic seconds.
    """
    settings = settings or Settings.from_env()
    queue = queue or DurableQueue(settings)
    problems = ProblemResponder(clock)
    app = CallbackApp("listener")
    app.register_blueprint(health_checks(Readiness(queue, clock), problems))
    callback = Blueprint("callback", __name__)
    # One route for every path, so that a wrong token and a wrong path have the same answer in the same time.
    view = CallbackView(settings, queue, now, clock)
    route_all_methods(callback, "/<path:path>", "receive", view)
    app.register_blueprint(callback)

    @app.errorhandler(RefusalError)
    def refuse(error: RefusalError) -> Response:
        request = current_request()
        authenticated = request.authentication.is_authenticated
        return from_problem(
            problems.respond(error, authenticated=authenticated, request_id=request.request_id)
        )

    @app.errorhandler(InternalServerError)
    def answer_unexpected(error: InternalServerError) -> Response:
        cause = error.original_exception
        unexpected = cause if isinstance(cause, Exception) else error
        return from_problem(problems.respond(unexpected, request_id=current_request().request_id))

    return app


class EmptySession(dict[str, Any], SessionMixin):
    """A session that is never saved."""


NO_SESSION = EmptySession()


class NoSessions(SessionInterface):
    """Flask's sessions are cookies; no sender of messages has one."""

    def open_session(self, _app: Flask, _request: Request) -> SessionMixin:
        """The same object for all requests: nothing is ever put into it."""
        return NO_SESSION

    def is_null_session(self, _session: object) -> bool:
        """Always, so that Flask saves none."""
        return True

    def save_session(self, _app: Flask, _session: SessionMixin, _response: Response) -> None:
        """Saves nothing."""


class MatchedPath(MapAdapter):
    """An adapter that matches its path once, for all requests: routing took a twentieth of a message's time."""

    def __init__(self, url_map: Map, path: str) -> None:
        super().__init__(url_map, "", "/", None, "http", path, "GET")
        self._rule, self._arguments = super().match(return_rule=True)

    def match(self, *_: Any, **__: Any) -> tuple[Rule, dict[str, Any]]:
        """The rule of the path and the arguments of its view; Flask asks with `return_rule`."""
        return self._rule, dict(self._arguments)


class CallbackApp(Flask):
    """Flask without sessions, static files and automatic answers, and with secrets hidden from instrumentation."""

    request_class = CallbackRequest
    session_interface = NoSessions()

    def __init__(self, name: str) -> None:
        super().__init__(name, static_folder=None)
        # A redirect would show a stranger which paths exist.
        self.url_map.merge_slashes = False
        self.url_map.strict_slashes = False
        # Not even with FLASK_DEBUG does an error leave the application without an answer.
        self.config["PROPAGATE_EXCEPTIONS"] = False
        self._adapters: dict[str, MatchedPath] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Serves a request; Flask, and everything that wraps its methods, sees it without its secrets."""
        hide(environ)
        return super().__call__(environ, start_response)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function as it is, since no view is a coroutine: Flask would examine it for each request."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Matches the path alone: neither a Host header, an Upgrade nor the method changes the route."""
        if request is None:
            return None
        adapter = self._adapters.get(request.path)
        if adapter is None:
            # `hide` leaves only few paths: those of the health checks, and one for all others.
            adapter = self._adapters[request.path] = MatchedPath(self.url_map, request.path)
        return adapter

    def handle_exception(self, e: Exception) -> Response:
        """Answers an unexpected exception; called by Flask.

        The local variables are cleared first, because error reporters send those of each stack frame: bodies,
        and so credentials, are among them.
        """
        for error in _with_causes(e):
            traceback.clear_frames(error.__traceback__)
        return super().handle_exception(e)

    def log_exception(self, exc_info: Any) -> None:
        """Nothing: the answer is logged, with the traceback, like every other."""


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """An exception, those that led to it, and those in their groups, each once."""
    pending: list[BaseException | None] = [error]
    seen: set[int] = set()
    while pending:
        each = pending.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            members = each.exceptions if isinstance(each, BaseExceptionGroup) else ()
            pending += (each.__cause__, each.__context__, *members)
