"""The calls for the application's token and the user's session."""

from flask import Response, jsonify, request

from sandbox import replies
from sandbox.api.blueprint import api, check_bearer, check_session, json_object
from sandbox.replies import ApiError
from sandbox.state import state


@api.post("/ts/v1/oauth2/token")
def issue_token() -> Response:
    """[doc, sdk] The application's token; the scope's text is [?]."""
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
    """[doc, sdk] A session; the fifth failed login in a row locks the account."""
    check_bearer()
    body = json_object(replies.BLANK_LOGIN)
    username, password = body.get("username"), body.get("password")
    return jsonify(sessionToken=state().credentials.log_in(str(username), str(password)))


@api.post("/m2m/v1/session/logout")
def log_out() -> Response:
    """[sdk] Answers the token of the session that ended."""
    session = check_session()
    state().credentials.log_out(session)
    return jsonify(sessionToken=session)
