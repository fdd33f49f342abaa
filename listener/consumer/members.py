"""What each kind has beyond every message: from a message's JSON to a class's attributes. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

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
    return {"firmware": firmware, "extra": _outside(data, "firmwareList")}


def _upgrade_scheduled(data: Members) -> Members:
    container = _container(data, "upgradeScheduled")
    found = container.get("deviceList")
    items = found if isinstance(found, list) else ()
    devices = tuple(
        Device(**_named(item, DEVICE), extra=_others(item, DEVICE))
        for item in items
        if isinstance(item, dict)
    )
    extra = {
        **_outside(data, "upgradeScheduled"),
        **_others(container, SCHEDULED.keys() | LISTS),
    }
    return {**_named(container, SCHEDULED), "devices": devices, "extra": extra}


def _upgrade_started(data: Members) -> Members:
    return _flat(data, "upgradeProgress", STARTED)


def _upgrade_finished(data: Members) -> Members:
    return _flat(data, "upgradeFinished", FINISHED)


def _unknown(data: Members) -> Members:
    return {"extra": _outside(data, own=None)}


def _flat(data: Members, name: str, attributes: Mapping[str, str]) -> Members:
    container = _container(data, name)
    members = _named(container, attributes)
    members["extra"] = {**_outside(data, name), **_others(container, attributes)}
    return members


def _outside(data: Members, own: str | None) -> Members:
    """The members outside the own container; those of other kinds are mostly sent empty [doc]."""
    return {
        name: value
        for name, value in data.items()
        if name not in ENVELOPE or (value and name in KINDS and name != own)
    }


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
"""The class of each kind, and what reads its members; nothing of the provider's makes it fail."""
