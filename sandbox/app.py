"""The Flask application: the provider's side and the control side; every call of the API is logged, and faults apply to it."""

import socket
import time
from typing import cast

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException

from sandbox.accounts.registrations import without_login
from sandbox.api import api, callback_forms, respond
from sandbox.control import control, index
from sandbox.faults import Fault
from sandbox.request_log import Call
from sandbox.state import EXTENSION, State, state


def create_app(built: State) -> Flask:
    app = Flask("sandbox", static_folder=None)
    app.extensions[EXTENSION] = built
    # Members of a response keep the documentation's order.
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.register_blueprint(api)
    app.register_blueprint(control)
    app.register_blueprint(index)
    app.before_request(begin_call)
    app.after_request(end_call)
    app.register_error_handler(HTTPException, http_error)
    return app


def http_error(problem: HTTPException) -> tuple[Response, int]:
    return jsonify(error=problem.description or problem.name), problem.code or 500


def begin_call() -> Response | None:
    """Logs the start of an API call; a fault of `when: before` answers in its place."""
    if not request.path.startswith("/api"):
        return None
    g.call = state().request_log.begin(request.method, request.path)
    g.fault = state().faults.pop_matching(request.method, request.path)
    g.call.url = _registered_url()
    if g.fault is None:
        return None
    g.call.fault = True
    return apply_fault(g.fault) if g.fault.when == "before" else None


def end_call(response: Response) -> Response:
    """Applies a fault of `when: after`, then logs the end of the call."""
    call: Call | None = g.get("call")
    if call is None:
        return response
    fault: Fault | None = g.fault
    if fault is not None and fault.when == "after":
        response = apply_fault(fault) or response
    dropped = fault is not None and fault.drop
    state().request_log.end(call, None if dropped else response.status_code)
    return response


def apply_fault(fault: Fault) -> Response | None:
    """Carries a fault out. Returns its response; None: the call goes its usual way."""
    if fault.expire == "token":
        state().credentials.expire_token()
    if fault.expire == "session":
        state().credentials.expire_session(request.headers.get("VZ-M2M-Token"))
    time.sleep(fault.delay_s)
    if fault.drop:
        return drop_connection()
    reply = fault.reply()
    return None if reply is None else respond(reply)


def drop_connection() -> Response:
    """Closes the connection, so that the response that Flask must have does not reach the caller."""
    connection = request.environ.get("werkzeug.socket")
    if connection is not None:
        cast("socket.socket", connection).shutdown(socket.SHUT_RDWR)
    return Response(status=503)


def _registered_url() -> str | None:
    if request.method not in {"POST", "PUT"} or "/callbacks/" not in request.path:
        return None
    url = (callback_forms.json_object(request.get_data()) or {}).get("url")
    return without_login(url) if isinstance(url, str) else None
