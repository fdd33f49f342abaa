"""The provider's API, under /api: tokens, sessions and callback registrations."""

from typing import Any

from flask import Blueprint, Response, jsonify, request

from sandbox import callbacks, replies
from sandbox.provider_facts import Version
from sandbox.registrations import Cause, Registration
from sandbox.replies import ApiError, Reply
from sandbox.state import state

api = Blueprint("api", __name__, url_prefix="/api")
CALLBACKS = "/fota/<any(v1, v2, v3):version>/callbacks/<account>"
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH")


def respond(reply: Reply) -> Response:
    """A reply as Flask's response. Without a body there is no content type either."""
    response = Response(reply.body, reply.status, content_type=reply.content_type)
    if not reply.body:
        del response.headers["Content-Type"]
    response.headers.update(reply.headers)
    return response


@api.errorhandler(ApiError)
def refuse(problem: ApiError) -> Response:
    return respond(problem.reply)


@api.post("/ts/v1/oauth2/token")
def issue_token() -> Response:
    """[doc, sdk] The scope's text is [?]."""
    authorization = request.authorization
    if authorization is None or authorization.type != "basic":
        raise ApiError(replies.MISSING_BASIC)
    if request.form.get("grant_type") != "client_credentials":
        raise ApiError(replies.GRANT_TYPE)
    token, expires_in = state().credentials.issue_token(
        authorization.username or "", authorization.password or ""
    )
    return jsonify(
        {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": expires_in,
            "scope": "default",
        }
    )


@api.post("/m2m/v1/session/login")
def log_in() -> Response:
    _check_bearer()
    body = _json_object(replies.BLANK_LOGIN)
    username, password = body.get("username"), body.get("password")
    return jsonify(sessionToken=state().credentials.log_in(str(username), str(password)))


@api.post("/m2m/v1/session/logout")
def log_out() -> Response:
    """[sdk] Answers the token of the session that ended."""
    session = _check_session()
    state().credentials.log_out(session)
    return jsonify(sessionToken=session)


@api.get(CALLBACKS)
def query(version: Version, account: str) -> Response:
    _authorize(account)
    registration = state().registrations.get(version, account)
    return respond(callbacks.query_reply(state().settings, version, account, registration))


@api.post(CALLBACKS)
def register(version: Version, account: str) -> Response:
    return _write(version, account, "POST")


@api.put(CALLBACKS)
def modify(version: Version, account: str) -> Response:
    """[doc] v1 has none; for the others it registers, whether or not anything was registered."""
    if version == "v1":
        raise ApiError(replies.NO_RESOURCE)
    return _write(version, account, "PUT")


@api.delete(CALLBACKS)
def deregister(version: Version, account: str) -> Response:
    """[doc, sdk] v1 names the service in its path."""
    if version == "v1":
        raise ApiError(replies.NO_RESOURCE)
    return _remove(version, account)


@api.delete("/fota/v1/callbacks/<account>/name/<service>")
def deregister_v1(account: str, service: str) -> Response:
    _authorize(account)
    callbacks.check_service(service)
    return _remove("v1", account)


@api.route("/", defaults={"rest": ""}, methods=METHODS, strict_slashes=False)
@api.route("/<path:rest>", methods=METHODS)
def no_resource(rest: str) -> Response:
    """[doc] The gateway knows no other path. That a wrong method gets the same answer is [?]."""
    del rest
    raise ApiError(replies.NO_RESOURCE)


def _write(version: Version, account: str, cause: Cause) -> Response:
    _authorize(account)
    wanted = _registration(version)
    state().registrations.put(version, account, wanted, cause)
    return respond(callbacks.written_reply(version, account, wanted.url))


def _registration(version: Version) -> Registration:
    body = _json_object(replies.EMPTY_BODY)
    return callbacks.parse(version, body, allow_http=state().settings.allow_http)


def _remove(version: Version, account: str) -> Response:
    """[doc] Removes whatever is registered."""
    _authorize(account)
    removed = state().registrations.remove(version, account, "DELETE")
    return respond(callbacks.removed_reply(state().settings, removed=removed))


def _authorize(account: str) -> None:
    """The gateway looks first, then the service; the order of its two checks is [?]."""
    _check_session()
    callbacks.check_account(account, state().settings.accounts)


def _check_session() -> str:
    _check_bearer()
    session = request.headers.get("VZ-M2M-Token", "")
    state().credentials.check_session(session)
    return session


def _check_bearer() -> None:
    authorization = request.authorization
    bearer = (
        authorization.token
        if authorization is not None and authorization.type == "bearer"
        else None
    )
    state().credentials.check_token(bearer)


def _json_object(otherwise: Reply) -> dict[str, Any]:
    """The body, whatever its content type: the SDK's for v2 is `*/*`. [sdk]

    Raises:
        ApiError: with `otherwise`, if the body is empty or no JSON object.
    """
    body = callbacks.json_object(request.get_data())
    if not body:
        raise ApiError(otherwise)
    return body
