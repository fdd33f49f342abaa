"""From the payload of a delivery to a message that the queue takes. Pure: no Flask, no Redis."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from listener.errors import RefusalError
from listener.messages import schemas
from listener.messages.payload import parse, serialize, without_counters, without_credentials
from listener.settings.settings import Settings
from listener.thingspace import KINDS, UNKNOWN

__all__ = ["Message", "fingerprint", "parse", "serialize", "validate", "without_credentials"]

TYPE_PREFIX = "com.verizon.thingspace.fota."


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

    @property
    def size(self) -> int:
        """A bound on the bytes of its entry: a sender may make account, subject and type as long as the body.

        A letter has four bytes at the most, and the account stands in `source` as well, percent-encoded.
        """
        others = len(self.subject or "") + len(self.type)
        return len(self.data) + 16 * len(self.account or "") + 4 * others

    def flat_fields(self) -> list[str | bytes]:
        """The fields' names and values in turn."""
        return [part for pair in self.fields().items() for part in pair]

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


def account_of(payload: Mapping[str, Any]) -> str | None:
    """The account that the message names, if it names one by a text."""
    account = payload.get("accountName")
    return account if isinstance(account, str) and account else None


def check_account(payload: Mapping[str, Any], settings: Settings) -> None:
    """Checks that a message that names an account names one of ours, where ours are set.

    Raises:
        RefusalError: `account-refused`.
    """
    named = payload.get("accountName")
    if (
        settings.accounts
        and named not in (None, "")
        and account_of(payload) not in settings.accounts
    ):
        raise RefusalError("account-refused")


def fingerprint(content: bytes) -> str:
    """The first 32 hexadecimal digits of the SHA-256 of some bytes."""
    return hashlib.sha256(content).hexdigest()[:32]


def validate(payload: Mapping[str, Any], *, arrived: datetime, request_id: str) -> Message:
    """Makes a message of a parsed payload.

    The id depends on the content alone: the same content always has the same id, whatever the order
    of its members, whatever credentials came with it, and however often it was tried before.

    Args:
        payload: a JSON object as `payload.parse` returns it, credentials or not.
        arrived: when it arrived, with a time zone.
        request_id: of the request that brought it.

    Raises:
        RefusalError: `wrong-shape`.
    """
    schemas.check(payload)
    content = without_credentials(payload)
    type_ = schemas.type_of(content) or UNKNOWN
    return Message(
        id=fingerprint(serialize(without_counters(content), canonical=True)),
        kind=KINDS.get(type_, UNKNOWN),
        type=TYPE_PREFIX + type_,
        account=account_of(content),
        subject=_upgrade_id(content),
        time=timestamp(arrived),
        request_id=request_id,
        data=serialize(content),
    )


def timestamp(moment: datetime) -> str:
    """RFC 3339, UTC, microseconds, `Z`."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


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
