"""Typed messages, made of the fields of a stream's entry, or of a sample of JSON. Pure."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from listener.errors import ListenerError
from listener.messages import kinds
from listener.messages.kinds import (
    ENVELOPE_NAMES,
    KINDS_BY_NAME,
    KINDS_BY_TYPE,
    RECOVERED,
    UNKNOWN,
    Recovered,
)
from listener.messages.members import Kind
from listener.messages.message import Message
from listener.messages.payload import parse

Fields = Mapping[bytes, bytes]


class ConsumerError(ListenerError):
    """The base class of the consumer library's errors, except ValueError for wrong arguments."""


class MalformedError(ConsumerError):
    """An entry of the stream is no message: it was not written by the listener."""


def typed(fields: Fields, *, entry_id: str, partition: int, deliveries: int) -> kinds.Message:
    """The message of an entry, of the class of its kind.

    Any JSON object in `data` becomes a message; attributes that are missing are empty or None.

    Raises:
        MalformedError: there is no `data`, or it is no object of JSON.
    """
    raw = fields.get(b"data")
    if raw is None:
        raise MalformedError("the entry has no field `data`")
    data = _parsed(raw)
    attributes = {
        _field_name(name): value.decode("utf-8", "replace")
        for name, value in fields.items()
        if name != b"data"
    }
    find = attributes.get
    name, time_text = find("kind", UNKNOWN), find("time", "")
    kind = KINDS_BY_NAME.get(name)
    class_: type[kinds.Message] = kind.message if kind else kinds.Unknown
    recovered = _recovered(data) if find("origin") == RECOVERED else None
    return class_(
        id=find("id", ""),
        kind=name,
        type=find("type", ""),
        source=find("source", ""),
        subject=find("subject"),
        time=_time(time_text),
        time_text=time_text,
        account=find("account"),
        request_id=find("requestid"),
        traceparent=find("traceparent"),
        attributes=attributes,
        data=data,
        raw=raw,
        entry_id=entry_id,
        partition=partition,
        deliveries=deliveries,
        participant_name=data.get("participantName"),
        recovered=recovered,
        **(_reported(kind, recovered, find("subject")) if recovered else _members(kind, data)),
    )


def message(
    data: Mapping[str, Any] | str | bytes, *, deliveries: int = 1, arrived: datetime | None = None
) -> kinds.Message:
    """A message as the listener would keep it and a consumer get it: for tests of handlers.

    Args:
        data: a sample as ThingSpace would send it: an object, or JSON. Credentials are removed.
        deliveries: see `Message`.
        arrived: when, with a time zone; None: now.

    Raises:
        listener.errors.RefusalError: the listener would refuse it.
    """
    if isinstance(data, str | bytes):
        data = parse(data.encode() if isinstance(data, str) else data)
    received = Message.from_payload(data, arrived=arrived or datetime.now(UTC), request_id="sample")
    return typed_sample(received, deliveries=deliveries)


def typed_sample(message: Message, *, deliveries: int = 1) -> kinds.Message:
    """A message of the listener's as a consumer gets it, in no stream."""
    fields = {
        name.encode(): value if isinstance(value, bytes) else value.encode()
        for name, value in message.fields().items()
    }
    return typed(fields, entry_id="0-0", partition=0, deliveries=deliveries)


def fields_of(message: kinds.Message) -> dict[bytes, bytes]:
    """The fields of a message's entry."""
    attributes = {name.encode(): value.encode() for name, value in message.attributes.items()}
    return {**attributes, b"data": message.raw}


@lru_cache(maxsize=64)
def _field_name(name: bytes) -> str:
    """Cached: nearly every entry has the same names."""
    return name.decode("utf-8", "replace")


def kind_name(fields: Fields) -> str:
    """The kind as the entry says it, which a later version may have added."""
    return fields.get(b"kind", UNKNOWN.encode()).decode(errors="replace")


def kind_of(fields: Fields) -> str:
    """The kind of an entry, for logs and metrics; `unknown` for one that this version does not know."""
    kind = fields.get(b"kind", b"").decode(errors="replace")
    return kind if kind in KINDS_BY_NAME else UNKNOWN


def _members(kind: Kind | None, data: dict[str, Any]) -> dict[str, Any]:
    """The attributes that the classes of the kinds add, and `extra`."""
    own = kind.type if kind else None
    # The containers of the other kinds are mostly sent empty [doc].
    outside = {
        name: value
        for name, value in data.items()
        if name not in ENVELOPE_NAMES or (value and name in KINDS_BY_TYPE and name != own)
    }
    attributes = kind.read(data.get(kind.type)) if kind else {"extra": {}}
    return {**attributes, "extra": {**outside, **attributes["extra"]}}


def _recovered(data: Mapping[str, Any]) -> Recovered:
    """Never raises: what is missing is empty."""
    about, report = data.get("recovered"), data.get("report")
    find = (about if isinstance(about, dict) else {}).get
    device_id = find("deviceId")
    return Recovered(
        version=str(find("version", "")),
        call=str(find("call", "")),
        status=str(find("status", "")),
        device_id=None if device_id is None else str(device_id),
        report=report if isinstance(report, dict) else {},
    )


def _reported(kind: Kind | None, recovered: Recovered, subject: str | None) -> dict[str, Any]:
    """The attributes that the classes of the kinds add, and `extra`, from a report instead of a callback.

    The report names an upgrade `id`, gives the reason for a device's state another name, and is itself the element
    of `deviceList` where it is about one device.
    """
    report = recovered.report
    if kind is None:
        return {"extra": dict(report)}
    container: dict[str, Any] = {"upgradeId": subject, **report}
    if "resultReason" in report:
        container.setdefault("reason", report["resultReason"])
    if recovered.device_id is not None:
        container.setdefault("deviceList", [report])
    attributes = kind.read(container)
    extra = {name: it for name, it in attributes["extra"].items() if name in report}
    return {**attributes, "extra": extra}


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        data = json.loads(raw.decode())
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"the field `data` is not JSON: {type(error).__name__}") from error
    if not isinstance(data, dict):
        raise MalformedError("the field `data` is JSON, but not an object")
    return data


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
