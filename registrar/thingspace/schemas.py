"""Typed replies of the callback API, and the marshmallow schemas that read them. Pure.

The schemas are lenient: a member that nobody needs is ignored, and one that is missing, empty or of
another type reads as None, unless the reply would be worthless without it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load, validates_schema

from listener.settings.secret import Secret
from registrar.model import Registration, ServiceName

# A token lives one hour from when it was first issued [doc]: what to assume if the reply is silent.
TOKEN_LIFE_S = 3600.0


@dataclass(frozen=True)
class RegisteredCallback:
    """A callback that is registered for an account.

    Attributes:
        service: a ServiceName, or the name as it came, of a service that is not known here.
        registration: URL and, of v1, the username and password that messages carry.
        account: as the reply names it (`aname`); v1 only.
    """

    service: ServiceName | str
    registration: Registration
    account: str | None = None


@dataclass(frozen=True)
class RegistrationResult:
    """What the reply to a registration names; None for what it does not.

    v1 names account and service, v2 and v3 the URL [doc, sdk]. The account of the documentation's example
    is another one than the request's [doc], so nothing is concluded from it: to be certain, query.
    """

    account: str | None = None
    service: ServiceName | str | None = None
    url: str | None = None


@dataclass(frozen=True)
class DeregistrationResult:
    """Whether ThingSpace says that it deregistered; None if its reply, a 2xx, does not say.

    True as well where it reports that nothing is registered. To be certain, query.
    """

    success: bool | None = None


@dataclass(frozen=True)
class OAuthToken:
    """A bearer token, and how many seconds it still lives, as ThingSpace says."""

    value: Secret
    expires_in_s: float


class _Text(fields.Field[str | None]):
    """A text; None instead of anything else, an empty text included."""

    def __init__(self, **options: Any) -> None:
        super().__init__(load_default=None, allow_none=True, **options)

    def _deserialize(self, value: object, *_: Any, **__: Any) -> str | None:
        # Half a surrogate pair, which JSON may hold, could be neither stored nor logged.
        return value.encode(errors="replace").decode() if isinstance(value, str) and value else None


class _Service(_Text):
    """A service's name, in upper or lower case; an empty one, which nobody has, instead of what is no text."""

    def _deserialize(self, value: object, *_: Any, **__: Any) -> str:
        name = super()._deserialize(value) or ""
        return next((known for known in ServiceName if known.casefold() == name.casefold()), name)


class _Token(fields.Field[Secret]):
    """A token that a header can hold."""

    def _deserialize(self, value: object, *_: Any, **__: Any) -> Secret:
        if not (isinstance(value, str) and value and value.isascii() and value.isprintable()):
            raise ValidationError("no token")
        return Secret(value)


class _Life(fields.Field[float | None]):
    """How long a token lives, in seconds."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> float | None:
        try:
            seconds = float(value)
        except (TypeError, ValueError, OverflowError):
            return None
        return seconds if math.isfinite(seconds) else None


class _Success(fields.Field[bool | None]):
    def _deserialize(self, value: object, *_: Any, **__: Any) -> bool | None:
        return value if isinstance(value, bool) else None


class _ReplySchema(Schema):
    class Meta:
        unknown = EXCLUDE


class RegisteredCallbackSchema(_ReplySchema):
    """One entry of the reply to a query; loads as None if our service's entry has no URL."""

    service = _Service(data_key="name")
    account = _Text(data_key="aname")
    url = fields.String(load_default=None, allow_none=True)
    username = _Text()
    password = _Text()

    @validates_schema(pass_original=True)
    def _check_members(self, _: Any, entry: Mapping[str, Any], **__: Any) -> None:
        if not entry.keys() & {"url", "name", "aname"}:
            raise ValidationError("not an entry")

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> RegisteredCallback | None:
        if not data["url"]:
            return None
        password = data["password"]
        return RegisteredCallback(
            ServiceName.FOTA if data["service"] is None else data["service"],
            Registration(
                data["url"].encode(errors="replace").decode(),
                data["username"],
                None if password is None else Secret(password),
            ),
            data["account"],
        )


class RegistrationResultSchema(_ReplySchema):
    """The reply to a registration."""

    account = _Text(data_key="accountName")
    service = _Service(data_key="serviceName")
    url = _Text()

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> RegistrationResult:
        return RegistrationResult(**data)


class DeregistrationResultSchema(_ReplySchema):
    """The reply to a deregistration."""

    success = _Success(load_default=None, allow_none=True)

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> DeregistrationResult:
        return DeregistrationResult(**data)


class OAuthTokenSchema(_ReplySchema):
    """The reply to a token request."""

    value = _Token(data_key="access_token", required=True)
    expires_in_s = _Life(data_key="expires_in", load_default=None, allow_none=True)

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> OAuthToken:
        life_s = data["expires_in_s"]
        return OAuthToken(data["value"], TOKEN_LIFE_S if life_s is None else life_s)


class SessionSchema(_ReplySchema):
    """The reply to a login; loads as the session's token."""

    value = _Token(data_key="sessionToken", required=True)

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> Secret:
        token: Secret = data["value"]
        return token
