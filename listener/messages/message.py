"""A validated message, made from a JSON payload in one pass: kind, fingerprint, subject, account. Pure."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import quote

from listener.errors import AccountRefusedError
from listener.messages import shape
from listener.messages.kinds import KINDS_BY_TYPE, RECOVERED, UNKNOWN
from listener.messages.payload import serialize, without_counters, without_credentials
from listener.settings.settings import Settings
from listener.times import timestamp

TYPE_PREFIX = "com.verizon.thingspace.fota."


class Message(NamedTuple):
    """A CloudEvents 1.0 event whose `data` is free of credentials.

    The receiver makes it by `from_payload` only; the queue takes nothing else.
    """

    id: str
    kind: str
    type: str
    account: str | None
    subject: str | None
    time: str
    request_id: str
    data: bytes
    traceparent: str | None = None
    basis: str | None = None
    """The call whose report a recovered message was made of; None: ThingSpace sent the message."""

    @classmethod
    def from_payload(
        cls,
        payload: Mapping[str, Any],
        *,
        arrived: datetime,
        request_id: str,
        traceparent: str | None = None,
    ) -> "Message":
        """Validates a payload and makes a message of it.

        The id depends on the content alone: the same content always has the same id, whatever the
        order of its members, whatever credentials and trace context came with it, and however often it was
        tried before.

        Args:
            payload: a JSON object as `payload.parse` returns it, with or without credentials.
            arrived: when it arrived, with a time zone.
            request_id: the id of the request that brought it.
            traceparent: the trace context of that request, as `trace_context.parse` returns it.

        Raises:
            RefusalError: `wrong-shape`; `not-json`, nested too deep to be written again.
        """
        type_ = _type_of(payload)
        kind = KINDS_BY_TYPE.get(type_ or "")
        if kind:
            shape.check(payload, kind.type)
        content = without_credentials(payload)
        return cls(
            id=fingerprint(content),
            kind=kind.name if kind else UNKNOWN,
            type=TYPE_PREFIX + (type_ or UNKNOWN),
            account=_account_of(content),
            subject=_upgrade_id(content, type_),
            time=timestamp(arrived),
            request_id=request_id,
            data=serialize(content),
            traceparent=traceparent,
        )

    @property
    def size(self) -> int:
        """An upper bound on the bytes of the entry: account, subject and type may be as long as the body.

        A character has at most four bytes, and the account stands in `source` as well, percent-encoded.
        """
        others = len(self.subject or "") + len(self.type)
        return len(self.data) + 16 * len(self.account or "") + 4 * others

    def flat_fields(self) -> list[str | bytes]:
        """The names and values of `fields` in turn."""
        source = "/thingspace/fota" + (f"/{quote(self.account, safe='')}" if self.account else "")
        flat: list[str | bytes] = ["specversion", "1.0", "id", self.id, "source", source]
        flat += ("type", self.type)
        if self.subject is not None:
            flat += ("subject", self.subject)
        flat += ("time", self.time, "datacontenttype", "application/json", "data", self.data)
        flat += ("kind", self.kind)
        if self.account is not None:
            flat += ("account", self.account)
        flat += ("requestid", self.request_id)
        if self.traceparent is not None:
            flat += ("traceparent", self.traceparent)
        if self.basis is not None:
            flat += ("origin", RECOVERED, "basis", self.basis)
        return flat

    def fields(self) -> dict[str, str | bytes]:
        """The stream entry's fields, in the contract's order; absent attributes are left out."""
        flat = self.flat_fields()
        return dict(zip(map(str, flat[::2]), flat[1::2], strict=True))


def _type_of(payload: Mapping[str, Any]) -> str | None:
    """The provider's `type`, if it is a text; it may be empty, which names no type."""
    type_ = payload.get("type")
    return type_ if isinstance(type_, str) else None


def _account_of(payload: Mapping[str, Any]) -> str | None:
    """The account that the message names, if it is a text."""
    account = payload.get("accountName")
    return account if isinstance(account, str) and account else None


def check_account(payload: Mapping[str, Any], settings: Settings) -> None:
    """Checks that a message names one of our accounts, if it names one and `THINGSPACE_ACCOUNTS` is set.

    Raises:
        RefusalError: `account-refused`.
    """
    named = payload.get("accountName")
    if (
        settings.accounts
        and named not in (None, "")
        and _account_of(payload) not in settings.accounts
    ):
        raise AccountRefusedError


def fingerprint(content: Mapping[str, Any]) -> str:
    """The first 32 hexadecimal digits of the SHA-256 of the canonical JSON without attempt counters."""
    canonical = serialize(without_counters(content), canonical=True)
    return hashlib.sha256(canonical).hexdigest()[:32]


def _upgrade_id(content: Mapping[str, Any], type_: str | None) -> str | None:
    # The documentation says that every message about an upgrade has its id, but not where: the
    # samples have it in the container named like the type.
    for name in (type_, *KINDS_BY_TYPE):
        container = content.get(name) if name else None
        if isinstance(container, dict) and (upgrade_id := _own_upgrade_id(container)):
            return upgrade_id
    return _own_upgrade_id(content)


def _own_upgrade_id(container: Mapping[str, Any]) -> str | None:
    upgrade_id = container.get("upgradeId")
    return upgrade_id if isinstance(upgrade_id, str) and upgrade_id else None
