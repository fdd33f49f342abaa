"""The provider's API under /api: what all of its calls share, which is the check of credentials and the form of replies."""

from typing import Any

from flask import Blueprint, Response, request

from sandbox import replies
from sandbox.api import callback_forms
from sandbox.replies import ApiError, Reply
from sandbox.state import state

api = Blueprint("api", __name__, url_prefix="/api")
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


@api.route("/", defaults={"rest": ""}, methods=METHODS, strict_slashes=False)
@api.route("/<path:rest>", methods=METHODS)
def no_resource(rest: str) -> Response:
    """[doc] The gateway knows no other path. That a wrong method gets the same answer is [?]."""
    del rest
    raise ApiError(replies.NO_RESOURCE)


def authorize(account: str) -> None:
    """The gateway looks first, then the service; the order of its two checks is [?].

    Raises:
        ApiError: the token or the session is not accepted, or the account is not known.
    """
    check_session()
    callback_forms.check_account(account, state().settings.accounts)


def check_session() -> str:
    """The session's token. Raises ApiError if the bearer token or the session is not accepted."""
    check_bearer()
    session = request.headers.get("VZ-M2M-Token", "")
    state().credentials.check_session(session)
    return session


def check_bearer() -> None:
    """Raises ApiError if the bearer token is missing or not accepted."""
    authorization = request.authorization
    bearer = (
        authorization.token
        if authorization is not None and authorization.type == "bearer"
        else None
    )
    state().credentials.check_token(bearer)


def json_object(otherwise: Reply) -> dict[str, Any]:
    """The body, whatever its content type: the SDK's for v2 is `*/*`. [sdk]

    Raises:
        ApiError: with `otherwise`, if the body is empty or no JSON object.
    """
    body = callback_forms.json_object(request.get_data())
    if not body:
        raise ApiError(otherwise)
    return body
