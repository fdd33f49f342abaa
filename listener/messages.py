"""From the bytes of a delivery to a message that the queue takes. Pure: no Flask, no Redis."""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn
from urllib.parse import quote

from listener import schemas
from listener.errors import RefusalError
from listener.secret import Secret
from listener.thingspace import KINDS, UNKNOWN

TYPE_PREFIX = "com.verizon.thingspace.fota."
CREDENTIALS = ("username", "password")


@dataclass(frozen=True, kw_only=True)
class Message:
    """A validated message: a CloudEvents 1.0 event whose `data` is free of credentials.

    Made by `validate` only; the queue takes nothing else.
    """

    id: str
    kind: str
    type: str
    account: str | None
    subject: str | None
    time: str
    request_id: str
    data: bytes

    def fields(self) -> dict[str, str | bytes]:
        """The stream entry's fields, in the contract's order; absent attributes are left out."""
        source = "/thingspace/fota" + (f"/{quote(self.account, safe='')}" if self.account else "")
        every = {
            "specversion": "1.0",
            "id": self.id,
            "source": source,
            "type": self.type,
            "subject": self.subject,
            "time": self.time,
            "datacontenttype": "application/json",
            "data": self.data,
            "kind": self.kind,
            "account": self.account,
            "requestid": self.request_id,
        }
        return {name: value for name, value in every.items() if value is not None}


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object in a request's body.

    Integers keep all their digits (an ICCID has 20, more than a double or 64 bits hold); other
    numbers become doubles. Of a name that comes twice the last value counts, here and for every
    check and consumer after it.

    Raises:
        RefusalError: `not-json` (also NaN, infinities, numbers outside a double's range, lone
            surrogates, nesting too deep to read), or `not-an-object`.
    """
    try:
        value = json.loads(
            body.decode("utf-8-sig"), parse_constant=_refuse_constant, parse_float=_finite
        )
        # A lone surrogate reads, but cannot be written: what cannot be kept is refused now.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise RefusalError("not-json", type(error).__name__) from error
    if not isinstance(value, dict):
        raise RefusalError("not-an-object")
    return value


def without_credentials(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The payload without the provider's `username` and `password`, in any letter case."""
    return {name: value for name, value in payload.items() if name.lower() not in CREDENTIALS}


def account_of(payload: Mapping[str, Any]) -> str | None:
    """The account that the message names, if it names one by a text."""
    account = payload.get("accountName")
    return account if isinstance(account, str) and account else None


def fingerprint(content: bytes) -> str:
    """The first 32 hexadecimal digits of the SHA-256 of some bytes."""
    return hashlib.sha256(content).hexdigest()[:32]


def validate(payload: Mapping[str, Any], *, arrived: datetime, request_id: str) -> Message:
    """Makes a message of a parsed payload.

    The id depends on the content alone: the same content always has the same id, whatever the order
    of its members and whatever credentials came with it.

    Args:
        payload: a JSON object as `parse` returns it, credentials or not.
        arrived: when it arrived, with a time zone.
        request_id: of the request that brought it.

    Raises:
        RefusalError: `wrong-shape`.
    """
    schemas.check(payload)
    content = without_credentials(payload)
    type_ = schemas.type_of(content) or UNKNOWN
    return Message(
        id=fingerprint(serialize(content, canonical=True)),
        kind=KINDS.get(type_, UNKNOWN),
        type=TYPE_PREFIX + type_,
        account=account_of(content),
        subject=_upgrade_id(content),
        time=timestamp(arrived),
        request_id=request_id,
        data=serialize(content),
    )


def serialize(content: Mapping[str, Any], *, canonical: bool = False) -> bytes:
    """The content as JSON in UTF-8 without spaces; canonical: names sorted by code point as well.

    Raises:
        RefusalError: `not-json`, nested too deep to write, though not to read.
    """
    try:
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), sort_keys=canonical)
    except RecursionError as error:
        raise RefusalError("not-json", type(error).__name__) from error
    return text.encode()


def timestamp(moment: datetime) -> str:
    """RFC 3339, UTC, microseconds, `Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def redact_raw(body: bytes, secrets: Iterable[Secret] = ()) -> str:
    """A refused body as text, without the values of `username` and `password` members.

    For bodies that could not be parsed, so it looks for what resembles such a member, and for the
    secrets that are known, as they are and as JSON has them. Bytes that are not of the encoding that
    JSON would have here show as backslash escapes.
    """
    text = body.decode(json.detect_encoding(body), errors="backslashreplace")
    for secret in secrets:
        plain = secret.reveal()
        for form in (plain, json.dumps(plain)[1:-1], json.dumps(json.dumps(plain))[3:-3]):
            text = text.replace(form, "***")
    return _CREDENTIAL_MEMBER.sub(r'\1"***"', text)


# A name, quoted in whatever way, what separates it, and a value: quoted, or up to the next separator.
_CREDENTIAL_MEMBER = re.compile(
    r"""(?ix) ( (?:username|password) \\* ["']? \s* [:=>] \s* )
        ( (\\*") .*? (?:\3|$) | '[^']*'? | \[ [^\]]* \]? | [^\s,}&<]+ )""",
)


def _upgrade_id(content: Mapping[str, Any]) -> str | None:
    # The documentation says that every message about an upgrade has its id, but not where: the
    # samples have it in the container named like the type.
    containers = [content.get(name) for name in (schemas.type_of(content), *KINDS) if name]
    for place in (*containers, content):
        if isinstance(place, dict):
            found = place.get("upgradeId")
            if isinstance(found, str) and found:
                return found
    return None


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("number out of range")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
