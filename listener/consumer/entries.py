"""From the fields of a stream's entry to a typed message, and from a sample of JSON as well. Pure."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from listener.consumer.errors import MalformedError
from listener.consumer.members import CLASSES
from listener.consumer.messages import Message
from listener.messages import message as received
from listener.messages.payload import parse
from listener.thingspace import UNKNOWN

Fields = Mapping[bytes, bytes]


def typed(fields: Fields, *, entry_id: str, partition: int, deliveries: int) -> Message:
    """The message of an entry.

    Whatever object of JSON `data` is, this makes a message of it; attributes that are missing are
    empty or None.

    Raises:
        MalformedError: there is no `data`, or it is no object of JSON.
    """
    raw = fields.get(b"data")
    if raw is None:
        raise MalformedError("the entry has no field `data`")
    data = _parsed(raw)
    attributes = {
        name.decode(errors="replace"): value.decode(errors="replace")
        for name, value in fields.items()
        if name != b"data"
    }
    find = attributes.get
    kind, time_text = find("kind", UNKNOWN), find("time", "")
    class_, members_of = CLASSES.get(kind) or CLASSES[UNKNOWN]
    return class_(
        id=find("id", ""),
        kind=kind,
        type=find("type", ""),
        source=find("source", ""),
        subject=find("subject"),
        time=_moment(time_text),
        time_text=time_text,
        account=find("account"),
        request_id=find("requestid"),
        attributes=attributes,
        data=data,
        raw=raw,
        entry_id=entry_id,
        partition=partition,
        deliveries=deliveries,
        participant_name=data.get("participantName"),
        **members_of(data),
    )


def message(data: Mapping[str, Any] | str | bytes, *, deliveries: int = 1) -> Message:
    """A message as the listener would keep it and a consumer get it: for tests of handlers.

    Args:
        data: a sample as ThingSpace would send it: an object, or JSON. Credentials are removed.
        deliveries: see `Message`.

    Raises:
        listener.errors.RefusalError: the listener would refuse it.
    """
    if isinstance(data, str | bytes):
        data = parse(data.encode() if isinstance(data, str) else data)
    kept = received.Message.from_payload(data, arrived=datetime.now(UTC), request_id="sample")
    fields = {
        name.encode(): value if isinstance(value, bytes) else value.encode()
        for name, value in kept.fields().items()
    }
    return typed(fields, entry_id="0-0", partition=0, deliveries=deliveries)


def kind_of(fields: Fields) -> str:
    """The kind of an entry, for logs and metrics; one that is unreadable is `unknown`."""
    kind = fields.get(b"kind", b"").decode(errors="replace")
    return kind if kind in CLASSES else UNKNOWN


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        data = json.loads(raw.decode())
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"the field `data` is not JSON: {type(error).__name__}") from error
    if not isinstance(data, dict):
        raise MalformedError("the field `data` is JSON, but not an object")
    return data


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
