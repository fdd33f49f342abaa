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
    """Sends the body as a message. Query: version, account, as_given=1, wait=1, lose=1."""
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
    """The messages that were sent, and what became of each. Query: id, after, result, upgrade."""
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
    """The calls of the API. Query: after."""
    return jsonify(requests=state().request_log.listing(number("after")))


@control.get("/registrations")
def registrations() -> Response:
    """The registered URLs, and every change."""
    return jsonify(state().registrations.listing())


@control.put(REGISTRATION)
def replace(version: Version, account: str) -> Response:
    """Registers a URL as another owner would, without the checks of session and account."""
    body = {"name": "Fota", **json_object()}
    try:
        wanted = callback_forms.parse(version, body, allow_http=True)
    except ApiError:
        raise BadRequest("The body needs a url, of http or https.") from None
    state().registrations.put(version, account, wanted, "outside")
    return jsonify(url=wanted.url)


@control.delete(REGISTRATION)
def remove(version: Version, account: str) -> Response:
    """Deregisters as another owner would."""
    return jsonify(removed=state().registrations.remove(version, account, "outside"))


@control.get("/faults")
def faults() -> Response:
    """The faults to come, and the shapes that have names."""
    return jsonify(faults=state().faults.listing(), shapes=sorted(SHAPES))


@control.post("/faults")
def add_fault() -> tuple[Response, int]:
    """Makes the next calls of a path fail: see `sandbox.faults.Fault`."""
    try:
        fault = FaultSchema().load(json_object())
    except ValidationError as problem:
        return jsonify(error="Not a fault.", fields=problem.messages), 400
    state().faults.add(fault)
    return jsonify(faults=state().faults.listing()), 201


@control.delete("/faults")
def clear_faults() -> Response:
    """Forgets all faults."""
    state().faults.clear()
    return jsonify(faults=[])


@control.get("/account")
def account() -> Response:
    """The lock, the failed logins and the live sessions."""
    return jsonify(state().credentials.summary())


@control.post("/unlock")
def unlock() -> Response:
    """Lifts the lock, as Verizon Support does."""
    state().credentials.unlock()
    return jsonify(state().credentials.summary())
