"""The Flask application: both sides, and round the provider's side the journal and the faults."""

import socket
import time
from typing import cast

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException

from sandbox.api import api, respond
from sandbox.body import json_object
from sandbox.control import control
from sandbox.faults import Fault
from sandbox.registrations import without_login
from sandbox.request_log import Call
from sandbox.state import EXTENSION, State, state


def create_app(built: State) -> Flask:
    app = Flask("sandbox", static_folder=None)
    app.extensions[EXTENSION] = built
    # The members of an answer come in the order of the documentation.
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.register_blueprint(api)
    app.register_blueprint(control)
    app.before_request(before)
    app.after_request(after)
    app.register_error_handler(HTTPException, explain)
    return app


def explain(problem: HTTPException) -> tuple[Response, int]:
    return jsonify(error=problem.description or problem.name), problem.code or 500


def before() -> Response | None:
    """Notes the call's beginning; a fault that strikes before the effect answers in its place."""
    if not request.path.startswith("/api"):
        return None
    g.call = state().journal.begin(request.method, request.path)
    g.fault = state().faults.take(request.method, request.path)
    g.call.url = _registered_url()
    if g.fault is None:
        return None
    g.call.fault = True
    return befall(g.fault) if g.fault.when == "before" else None


def after(response: Response) -> Response:
    """Notes the call's end, after a fault that befalls the answer."""
    call: Call | None = g.get("call")
    if call is None:
        return response
    fault: Fault | None = g.fault
    if fault is not None and fault.when == "after":
        response = befall(fault) or response
    dropped = fault is not None and fault.drop
    state().journal.end(call, None if dropped else response.status_code)
    return response


def befall(fault: Fault) -> Response | None:
    """Lets a fault happen; the answer that it gives, if any."""
    if fault.expire == "token":
        state().credentials.expire_token()
    if fault.expire == "session":
        state().credentials.expire_session(request.headers.get("VZ-M2M-Token"))
    time.sleep(fault.delay_s)
    if fault.drop:
        return hang_up()
    reply = fault.reply()
    return None if reply is None else respond(reply)


def hang_up() -> Response:
    """Ends the connection, so that the answer, whatever it is, does not reach the caller."""
    connection = request.environ.get("werkzeug.socket")
    if connection is not None:
        cast("socket.socket", connection).shutdown(socket.SHUT_RDWR)
    return Response(status=503)


def _registered_url() -> str | None:
    if request.method not in {"POST", "PUT"} or "/callbacks/" not in request.path:
        return None
    url = (json_object(request.get_data()) or {}).get("url")
    return without_login(url) if isinstance(url, str) else None
