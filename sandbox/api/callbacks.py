"""The calls for callback registrations."""

from flask import Response

from sandbox import replies
from sandbox.accounts.registrations import Cause, Registration
from sandbox.api import callback_forms
from sandbox.api.blueprint import api, authorize, json_object, respond
from sandbox.provider_facts import Version
from sandbox.replies import ApiError
from sandbox.state import state

CALLBACKS = "/fota/<any(v1, v2, v3):version>/callbacks/<account>"


@api.get(CALLBACKS)
def query(version: Version, account: str) -> Response:
    """[doc, sdk] The registration of an account; an empty result if there is none."""
    authorize(account)
    registration = state().registrations.get(version, account)
    return respond(callback_forms.query_reply(state().settings, version, account, registration))


@api.post(CALLBACKS)
def register(version: Version, account: str) -> Response:
    """[doc, sdk] Registers a URL in place of whatever was registered."""
    return _write(version, account, "POST")


@api.put(CALLBACKS)
def modify(version: Version, account: str) -> Response:
    """[doc] v1 has none; for the others it registers, whether or not anything was registered."""
    if version == "v1":
        raise ApiError(replies.NO_RESOURCE)
    return _write(version, account, "PUT")


@api.delete(CALLBACKS)
def deregister(version: Version, account: str) -> Response:
    """[doc, sdk] Removes whatever is registered; v1 names the service in its path."""
    if version == "v1":
        raise ApiError(replies.NO_RESOURCE)
    return _remove(version, account)


@api.delete("/fota/v1/callbacks/<account>/name/<service>")
def deregister_v1(account: str, service: str) -> Response:
    """[doc, sdk] Removes whatever is registered."""
    authorize(account)
    callback_forms.check_service(service)
    return _remove("v1", account)


def _write(version: Version, account: str, cause: Cause) -> Response:
    authorize(account)
    wanted = _registration(version)
    state().registrations.put(version, account, wanted, cause)
    return respond(callback_forms.written_reply(version, account, wanted.url))


def _registration(version: Version) -> Registration:
    body = json_object(replies.EMPTY_BODY)
    return callback_forms.parse(version, body, allow_http=state().settings.allow_http)


def _remove(version: Version, account: str) -> Response:
    """[doc] Removes whatever is registered."""
    authorize(account)
    removed = state().registrations.remove(version, account, "DELETE")
    return respond(callback_forms.removed_reply(state().settings, removed=removed))
