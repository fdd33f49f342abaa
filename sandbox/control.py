"""The control side, under /sandbox: tests send messages, read what happened, and make calls fail.

Not the provider's, and without credentials: for this machine alone. All is JSON; bad input is
answered 400 `{"error": …}`.

    POST   /messages        sends the body; 202 {"id"}. Query: version=v1|v2|v3, account=…, as_given=1
                            (no login put in), wait=1 (200 and the delivery, when it has ended)
    GET    /deliveries      {"deliveries", "counts"}. Query: id=N for one alone, after=N, result=…
    GET    /requests        {"requests"}: the calls of the API. Query: after=N
    GET    /registrations   {"registrations", "history"}
    PUT    /registrations/VERSION/ACCOUNT   {"url", "username"?, "password"?}, as another owner would
    DELETE /registrations/VERSION/ACCOUNT   {"removed"}
    GET    /faults          {"faults", "shapes"}: those still to come, and the shapes that have names
    POST   /faults          adds one: see `sandbox.faults.Fault`; 201
    DELETE /faults          forgets them all
    GET    /account         {"locked", "failed_logins", "live_sessions"}
    POST   /unlock          what Verizon Support does
"""

import re
from typing import Any, cast

from flask import Blueprint, Response, jsonify, request
from marshmallow import ValidationError
from werkzeug.exceptions import BadRequest, NotFound

from sandbox import callbacks
from sandbox.deliveries import RESULTS
from sandbox.faults import FaultSchema
from sandbox.provider_facts import VERSIONS, Version
from sandbox.replies import SHAPES, ApiError
from sandbox.state import state

control = Blueprint("control", __name__, url_prefix="/sandbox")
REGISTRATION = "/registrations/<any(v1, v2, v3):version>/<account>"


@control.post("/messages")
def send() -> tuple[Response, int]:
    message = _json_object()
    account = request.args.get("account") or message.get("accountName")
    if not isinstance(account, str):
        raise BadRequest("The message needs an accountName, or the query an account.")
    version, as_given, wait = _version(), _flag("as_given"), _flag("wait")
    try:
        delivery = state().sender.send(
            message, account, version=version, as_given=as_given, wait=wait
        )
    except UnicodeEncodeError:
        raise BadRequest("The message cannot be sent as UTF-8.") from None
    if wait:
        return jsonify(state().deliveries.get(delivery.id)), 200
    return jsonify(id=delivery.id), 202


@control.get("/deliveries")
def deliveries() -> Response:
    if "id" in request.args:
        delivery = state().deliveries.get(_number("id"))
        if delivery is None:
            raise NotFound("There is no delivery with this id.")
        return jsonify(delivery)
    listed = state().deliveries.listing(_number("after"), _one_of("result", RESULTS))
    return jsonify(deliveries=listed, counts=state().deliveries.counts())


@control.get("/requests")
def requests() -> Response:
    return jsonify(requests=state().request_log.listing(_number("after")))


@control.get("/registrations")
def registrations() -> Response:
    return jsonify(state().registrations.listing())


@control.put(REGISTRATION)
def replace(version: Version, account: str) -> Response:
    """As another owner would: without the API's checks of session and account."""
    body = {"name": "Fota", **_json_object()}
    try:
        wanted = callbacks.parse(version, body, allow_http=True)
    except ApiError:
        raise BadRequest("The body needs a url, of http or https.") from None
    state().registrations.put(version, account, wanted, "outside")
    return jsonify(url=wanted.url)


@control.delete(REGISTRATION)
def remove(version: Version, account: str) -> Response:
    return jsonify(removed=state().registrations.remove(version, account, "outside"))


@control.get("/faults")
def faults() -> Response:
    return jsonify(faults=state().faults.listing(), shapes=sorted(SHAPES))


@control.post("/faults")
def add_fault() -> tuple[Response, int]:
    try:
        fault = FaultSchema().load(_json_object())
    except ValidationError as problem:
        return jsonify(error="Not a fault.", fields=problem.messages), 400
    state().faults.add(fault)
    return jsonify(faults=state().faults.listing()), 201


@control.delete("/faults")
def clear_faults() -> Response:
    state().faults.clear()
    return jsonify(faults=[])


@control.get("/account")
def account() -> Response:
    return jsonify(state().credentials.summary())


@control.post("/unlock")
def unlock() -> Response:
    state().credentials.unlock()
    return jsonify(state().credentials.summary())


def _json_object() -> dict[str, Any]:
    body = callbacks.json_object(request.get_data())
    if body is None:
        raise BadRequest("The body must be a JSON object.")
    return body


def _flag(name: str) -> bool:
    return request.args.get(name, "0") not in {"", "0", "false"}


def _number(name: str) -> int:
    value = request.args.get(name, "0")
    # Longer ones are no number of ours, and Python refuses to read very long ones.
    if not re.fullmatch(r"[0-9]{1,12}", value):
        raise BadRequest(f"{name} must be a number.")
    return int(value)


def _one_of(name: str, choices: tuple[str, ...]) -> str | None:
    value = request.args.get(name)
    if value is not None and value not in choices:
        raise BadRequest(f"{name} must be one of {', '.join(choices)}.")
    return value


def _version() -> Version | None:
    return cast("Version | None", _one_of("version", VERSIONS))
