"""From the fields of a stream's entry to a typed message, and from a sample of JSON as well. Pure."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from listener import messages as received
from listener.consumer.errors import MalformedError
from listener.consumer.messages import (
    Device,
    Firmware,
    FirmwareAvailable,
    Message,
    Unknown,
    UpgradeFinished,
    UpgradeScheduled,
    UpgradeStarted,
)
from listener.thingspace import KINDS, UNKNOWN

Fields = Mapping[bytes, bytes]

FIRMWARE = {
    "firmwareName": "firmware_name",
    "participantName": "participant_name",
    "launchDate": "launch_date",
    "releaseNote": "release_note",
    "model": "model",
    "make": "make",
    "fromVersion": "from_version",
    "toVersion": "to_version",
}
DEVICE = {"deviceId": "device_id", "status": "status", "resultReason": "result_reason"}
SCHEDULED = {
    "firmwareName": "firmware_name",
    "upgradeId": "upgrade_id",
    "startDate": "start_date",
}
STARTED = {
    "firmwareName": "firmware_name",
    "upgradeId": "upgrade_id",
    "deviceId": "device_id",
    "status": "status",
    "upgradeStartTime": "upgrade_start_time",
}
FINISHED = {
    "firmwareName": "firmware_name",
    "upgradeId": "upgrade_id",
    "deviceId": "device_id",
    "status": "status",
    "reason": "reason",
    "upgradeFinishTime": "upgrade_finish_time",
}
ENVELOPE = frozenset(("accountName", "participantName", "type", *KINDS))
LISTS = frozenset(("deviceList",))

Members = dict[str, Any]
"""What a kind has beyond every message: attributes by name, `extra` among them."""


def _firmware_available(data: Members) -> Members:
    found = data.get("firmwareList")
    items = found if isinstance(found, list) else ()
    firmware = tuple(
        Firmware(**_named(item, FIRMWARE), extra=_others(item, FIRMWARE))
        for item in items
        if isinstance(item, dict)
    )
    return {"firmware": firmware, "extra": _others(data, ENVELOPE)}


def _upgrade_scheduled(data: Members) -> Members:
    container = _container(data, "upgradeScheduled")
    found = container.get("deviceList")
    items = found if isinstance(found, list) else ()
    devices = tuple(
        Device(**_named(item, DEVICE), extra=_others(item, DEVICE))
        for item in items
        if isinstance(item, dict)
    )
    extra = {**_others(data, ENVELOPE), **_others(container, SCHEDULED.keys() | LISTS)}
    return {**_named(container, SCHEDULED), "devices": devices, "extra": extra}


def _upgrade_started(data: Members) -> Members:
    return _flat(data, "upgradeProgress", STARTED)


def _upgrade_finished(data: Members) -> Members:
    return _flat(data, "upgradeFinished", FINISHED)


def _unknown(data: Members) -> Members:
    return {"extra": _others(data, ENVELOPE)}


def _flat(data: Members, name: str, attributes: Mapping[str, str]) -> Members:
    container = _container(data, name)
    members = _named(container, attributes)
    members["extra"] = {**_others(data, ENVELOPE), **_others(container, attributes)}
    return members


def _container(data: Members, name: str) -> Members:
    found = data.get(name)
    return found if isinstance(found, dict) else {}


def _named(container: Members, attributes: Mapping[str, str]) -> Members:
    return {attribute: container.get(name) for name, attribute in attributes.items()}


def _others(container: Members, known: Any) -> Members:
    return {name: container[name] for name in container if name not in known}


CLASSES: Mapping[str, tuple[type[Message], Callable[[Members], Members]]] = {
    "firmware-available": (FirmwareAvailable, _firmware_available),
    "upgrade-scheduled": (UpgradeScheduled, _upgrade_scheduled),
    "upgrade-started": (UpgradeStarted, _upgrade_started),
    "upgrade-finished": (UpgradeFinished, _upgrade_finished),
    UNKNOWN: (Unknown, _unknown),
}


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
        data = received.parse(data.encode() if isinstance(data, str) else data)
    kept = received.validate(data, arrived=datetime.now(UTC), request_id="sample")
    fields = {
        name.encode(): value if isinstance(value, bytes) else value.encode()
        for name, value in kept.fields().items()
    }
    return typed(fields, entry_id="0-0", partition=0, deliveries=deliveries)


def kind_of(fields: Fields) -> str:
    """The kind of an entry, for logs and metrics; one that is unreadable is `unknown`."""
    kind = fields.get(b"kind", b"").decode(errors="replace")
    return kind if kind in CLASSES else UNKNOWN


def _parsed(raw: bytes) -> Members:
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
