"""What ThingSpace's replies mean: callbacks, results, tokens and sessions as values, errors as exceptions. Pure.

Each function here checks its reply, once; nobody else has to.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from marshmallow import Schema, ValidationError

from listener.settings.secret import Secret
from registrar.errors import AuthExpiredError, RejectedError, StopError
from registrar.http.reply import Reply
from registrar.model import ServiceName
from registrar.thingspace.faults import (
    outage,
    parse_fault,
    raise_for_fault,
    says_nothing_registered,
    unreadable_reply,
)
from registrar.thingspace.schemas import (
    DeregistrationResult,
    DeregistrationResultSchema,
    OAuthToken,
    OAuthTokenSchema,
    RegisteredCallback,
    RegisteredCallbackSchema,
    RegistrationResult,
    RegistrationResultSchema,
    SessionSchema,
)

CALLBACK = RegisteredCallbackSchema()
REGISTRATION_RESULT = RegistrationResultSchema()
DEREGISTRATION_RESULT = DeregistrationResultSchema()
OAUTH_TOKEN = OAuthTokenSchema()
SESSION = SessionSchema()

# What the codes of a refused login are about: …INPUT_INVALID.Password.Invalid is the one that was
# seen; the others are likely names of its siblings [?].
CREDENTIAL_MARKS = ("Password", "UserName", "Username", "Credential")


class NotRegisteredError(RejectedError):
    """ThingSpace reports, by an error, that nothing is registered: neither a failure nor a success."""

    def __init__(self, reply: Reply) -> None:
        super().__init__("not-registered", f"HTTP {reply.status} {parse_fault(reply)}")


def read_callbacks(reply: Reply) -> tuple[RegisteredCallback, ...]:
    """The callbacks that are registered.

    Accepts, for every version, a list or a bare object, and for nothing: no body, 204, `null`, `[]`, `{}`,
    an empty URL or none [?].

    Raises:
        NotRegisteredError: see there.
        RegistrarError: ThingSpace refused, cannot answer, or answered something else. A page of HTML
            with status 200 does not mean "nothing registered".
    """
    _raise_if_not_registered(reply)
    raise_for_fault(reply)
    if reply.status == 204 or not reply.text:
        return ()
    content = _json(reply)
    entries = content if isinstance(content, list) else [content]
    callbacks = (_callback(entry, reply) for entry in entries if entry not in (None, {}, ""))
    return tuple(callback for callback in callbacks if callback)


def read_registration_result(reply: Reply) -> RegistrationResult:
    """The result of a registration. Any 2xx will do, but for a page: something in between answered that.

    Raises:
        RegistrarError: as for `read_callbacks`.
    """
    raise_for_fault(reply)
    result: RegistrationResult = REGISTRATION_RESULT.load(_members(reply))
    return result


def read_deregistration_result(reply: Reply) -> DeregistrationResult:
    """The result of a deregistration. Any 2xx will do, but for a page.

    Raises:
        RegistrarError: as for `read_callbacks`.
    """
    _raise_if_not_registered(reply)
    raise_for_fault(reply)
    result: DeregistrationResult = DEREGISTRATION_RESULT.load(_members(reply))
    return result


def read_token(reply: Reply) -> OAuthToken:
    """The bearer token.

    Raises:
        StopError: key or secret is refused.
        UnavailableError, RejectedError: as `raise_for_fault`.
    """
    fault = parse_fault(reply)
    refused = reply.status == 401 or fault.code == "invalid_client" or fault.bearer_refused
    if reply.status in {400, 401} and refused:
        raise StopError("application-refused", f"HTTP {reply.status} {fault}")
    raise_for_fault(reply)
    token: OAuthToken = _load(OAUTH_TOKEN, reply)
    return token


def read_session(reply: Reply) -> Secret:
    """The session's token.

    What a refusal looks like is [?] (`…Password.Invalid`, as 400 or 401, was seen in a test, not live), and
    five of them lock the account. So a reply that is neither a session nor the gateway's word on the
    bearer may hide a refusal: the errors below say which it is.

    Raises:
        StopError: username or password is refused, or the account is locked: an error of 4xx, or one
            that names them.
        AuthExpiredError: the gateway refuses the bearer, so the login was not evaluated.
        UnavailableError: anything else: the login may have been evaluated, and refused.
    """
    fault = parse_fault(reply)
    detail = f"HTTP {reply.status} {fault}"
    if not reply.ok and "Lock" in fault.code:
        raise StopError("account-locked", detail)
    if not reply.ok and any(mark in fault.code for mark in CREDENTIAL_MARKS):
        raise StopError("login-refused", detail)
    if fault.bearer_refused and not reply.ok:
        raise AuthExpiredError("token-refused", detail, {"token"})
    if error := outage(reply, fault, datetime.now(UTC)):
        raise error
    if reply.status < 200 or 300 <= reply.status < 400 or _is_page(reply):
        # A page, or another place to go: something that stands in between answered.
        raise unreadable_reply(reply)
    if not reply.ok:
        raise StopError("login-refused", detail)
    session: Secret = _load(SESSION, reply)
    return session


def _raise_if_not_registered(reply: Reply) -> None:
    if says_nothing_registered(reply):
        raise NotRegisteredError(reply)


def _callback(entry: Any, reply: Reply) -> RegisteredCallback | None:
    try:
        callback: RegisteredCallback | None = CALLBACK.load(entry)
    except ValidationError as error:
        if dict(error.valid_data or {}).get("service") in (None, ServiceName.FOTA):
            raise unreadable_reply(Reply(reply.status)) from None
        # Another service's entry is none of ours.
        return None
    return callback


def _members(reply: Reply) -> Mapping[str, Any]:
    """The members of a 2xx reply that is an object; none of any other one."""
    if _is_page(reply):
        raise unreadable_reply(reply)
    try:
        content = reply.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _load(schema: Schema, reply: Reply) -> Any:
    try:
        return schema.load(_json(reply))
    except ValidationError:
        raise unreadable_reply(Reply(reply.status)) from None


def _json(reply: Reply) -> Any:
    try:
        return reply.json()
    except ValueError as error:
        raise unreadable_reply(reply) from error


def _is_page(reply: Reply) -> bool:
    return reply.text.startswith("<")
