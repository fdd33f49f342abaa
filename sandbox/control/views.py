"""The calls of the control side for messages, registrations, faults and the account."""

from flask import Response, jsonify, request
from marshmallow import ValidationError
from werkzeug.exceptions import BadRequest, NotFound

from sandbox.api import callback_forms
from sandbox.control.blueprint import chosen_version, control, flag, json_object, number, one_of
from sandbox.delivery.deliveries import RESULTS
from sandbox.faults import FaultSchema
from sandbox.provider_facts import Version
from sandbox.replies import SHAPES, ApiError
from sandbox.state import state

REGISTRATION = "/registrations/<any(v1, v2, v3):version>/<account>"


@control.post("/messages")
def send() -> tuple[Response, int]:
    message = json_object()
    account = request.args.get("account") or message.get("accountName")
    if not isinstance(account, str):
        raise BadRequest("The message needs an accountName, or the query an account.")
    version, as_given, wait = chosen_version(), flag("as_given"), flag("wait")
    lose = flag("lose")
    try:
        delivery = state().sender.send(
            message, account, version=version, as_given=as_given, wait=wait, drop=lose
        )
    except UnicodeEncodeError:
        raise BadRequest("The message cannot be sent as UTF-8.") from None
    if wait:
        return jsonify(state().deliveries.get(delivery.id)), 200
    return jsonify(id=delivery.id), 202


@control.get("/deliveries")
def deliveries() -> Response:
    if "id" in request.args:
        delivery = state().deliveries.get(number("id"))
        if delivery is None:
            raise NotFound("There is no delivery with this id.")
        return jsonify(delivery)
    listed = state().deliveries.listing(
        number("after"), one_of("result", RESULTS), request.args.get("upgrade")
    )
    return jsonify(deliveries=listed, counts=state().deliveries.counts())


@control.get("/requests")
def requests() -> Response:
    return jsonify(requests=state().request_log.listing(number("after")))


@control.get("/registrations")
def registrations() -> Response:
    return jsonify(state().registrations.listing())


@control.put(REGISTRATION)
def replace(version: Version, account: str) -> Response:
    """As another owner would: without the API's checks of session and account."""
    body = {"name": "Fota", **json_object()}
    try:
        wanted = callback_forms.parse(version, body, allow_http=True)
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
        fault = FaultSchema().load(json_object())
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
