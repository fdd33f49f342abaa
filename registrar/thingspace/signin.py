"""The provider's two sign-ins as values: the OAuth token, and the session that builds on it. Pure."""

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from listener.settings.secret import Secret
from registrar.errors import AuthExpiredError, StopError
from registrar.http.reply import Reply
from registrar.model import Call, Credentials
from registrar.thingspace.replies import check, complaint, outage, unreadable

# A token lives one hour from when it was first issued [doc]: what to assume if the answer is silent.
TOKEN_LIFE_S = 3600.0

# What the codes of a refused login are about: …INPUT_INVALID.Password.Invalid is the one that was
# seen; the others are likely names of its siblings [?].
CREDENTIAL_MARKS = ("Password", "UserName", "Username", "Credential")


@dataclass(frozen=True)
class OAuthToken:
    """A bearer token and how many seconds it has left to live, as the provider says."""

    value: Secret
    expires_in_s: float


def token_call() -> Call:
    """Asks for a bearer token."""
    return Call("token", "POST", "/ts/v1/oauth2/token", form={"grant_type": "client_credentials"})


def token_headers(credentials: Credentials) -> Mapping[str, str]:
    """The application's key and secret, as HTTP Basic."""
    pair = f"{credentials.key.reveal()}:{credentials.secret.reveal()}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def read_token(reply: Reply) -> OAuthToken:
    """The token in an answer.

    Raises:
        StopError: key or secret is refused.
        UnavailableError, RejectedError: as `refusals.check`.
    """
    said = complaint(reply)
    refused = said.code == "invalid_client" or said.bearer_refused
    if reply.status in {400, 401} and refused:
        raise StopError("application-refused", f"HTTP {reply.status} {said}")
    if reply.status == 401:
        raise StopError("application-refused", "HTTP 401")
    check(reply)
    content = _object(reply)
    token, life = content.get("access_token"), content.get("expires_in", TOKEN_LIFE_S)
    if not isinstance(token, str) or not token:
        raise unreadable(Reply(reply.status))
    return OAuthToken(_sendable(token, reply), _life_s(life))


def _life_s(life: Any) -> float:
    try:
        seconds = float(life)
    except (TypeError, ValueError, OverflowError):
        return TOKEN_LIFE_S
    return seconds if math.isfinite(seconds) else TOKEN_LIFE_S


def login_call(credentials: Credentials) -> Call:
    """Asks for a session."""
    body = {
        "username": credentials.username.reveal(),
        "password": credentials.password.reveal(),
    }
    return Call("login", "POST", "/m2m/v1/session/login", json=body)


def logout_call() -> Call:
    """Ends the session."""
    return Call("logout", "POST", "/m2m/v1/session/logout", json={})


def call_headers(token: Secret, session: Secret | None = None) -> Mapping[str, str]:
    """The two tokens, as every call needs them. [doc]"""
    headers = {"Authorization": f"Bearer {token.reveal()}"}
    return headers if session is None else {**headers, "VZ-M2M-Token": session.reveal()}


def read_session(reply: Reply) -> Secret:
    """The session's token.

    What a refusal looks like is [?] (`…Password.Invalid`, as 400 or 401, was seen in a test, not live), and
    five of them lock the account. So an answer that is neither a session nor the gateway's word on the
    bearer may hide a refusal: the errors below say which it is.

    Raises:
        StopError: username or password is refused, or the account is locked: an error of 4xx, or one
            that names them.
        AuthExpiredError: the gateway refuses the bearer, so the login was not evaluated.
        UnavailableError: anything else: the login may have been evaluated, and refused.
    """
    said = complaint(reply)
    detail = f"HTTP {reply.status} {said}"
    if not reply.ok and "Lock" in said.code:
        raise StopError("account-locked", detail)
    if not reply.ok and any(word in said.code for word in CREDENTIAL_MARKS):
        raise StopError("login-refused", detail)
    if said.bearer_refused and not reply.ok:
        raise AuthExpiredError("token-refused", detail, {"token"})
    if error := outage(reply, said, datetime.now(UTC)):
        raise error
    if reply.status < 200 or 300 <= reply.status < 400 or reply.text.startswith("<"):
        # A page, or another place to go: something that stands in between answered.
        raise unreadable(reply)
    if not reply.ok:
        raise StopError("login-refused", detail)
    session = _object(reply).get("sessionToken")
    if not isinstance(session, str) or not session:
        raise unreadable(Reply(reply.status))
    return _sendable(session, reply)


def _sendable(token: str, reply: Reply) -> Secret:
    """A token that a header can hold."""
    if not (token.isascii() and token.isprintable()):
        raise unreadable(Reply(reply.status))
    return Secret(token)


def _object(reply: Reply) -> Mapping[str, Any]:
    try:
        content = reply.json()
    except ValueError as error:
        raise unreadable(reply) from error
    if not isinstance(content, dict):
        raise unreadable(Reply(reply.status))
    return content
