"""The messages as a handler gets them: one frozen class for each kind. Pure.

The attributes are the members that are documented [doc], and those of the sample messages, which are
modelled on replies of the REST API [?]. Nothing is checked: a member is what the provider sent,
which by its documentation is a text, dates included; None if it sent none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """What every message has.

    Args:
        id: fingerprint of the content: the same content has the same id. Be idempotent by it.
        kind: such as `upgrade-finished`.
        type: CloudEvents' type: `com.verizon.thingspace.fota.` and the provider's `type`.
        source: CloudEvents' source: `/thingspace/fota/` and the account.
        subject: the upgrade's id, if the message is about one.
        time: when it arrived, aware, in UTC; None if the entry does not say.
        time_text: the same as it stands in the entry.
        account: the account that it names.
        request_id: of the request that brought it.
        attributes: all fields of the entry but `data`, as they stand there.
        data: the whole message, parsed: an object of JSON.
        raw: the same as it stands in the entry: JSON in UTF-8.
        entry_id: of the entry in its stream.
        partition: the number of that stream's partition.
        deliveries: how often it was given to a handler, this time included. See `docs/consumer.md`.
        participant_name: `participantName` of the message.
        extra: the members of the message and of its own container that have no attribute here;
            where both have one of the same name, the container's. Of the other kinds' containers
            those that are not empty.
    """

    id: str
    kind: str
    type: str
    source: str
    subject: str | None
    time: datetime | None
    time_text: str
    account: str | None
    request_id: str | None
    attributes: Mapping[str, str]
    data: dict[str, Any]
    raw: bytes
    entry_id: str
    partition: int
    deliveries: int
    participant_name: str | None
    extra: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Firmware:
    """One element of `firmwareList` [doc]."""

    firmware_name: str | None
    participant_name: str | None
    launch_date: str | None
    release_note: str | None
    model: str | None
    make: str | None
    from_version: str | None
    to_version: str | None
    extra: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """One element of `deviceList` [?]."""

    device_id: str | None
    status: str | None
    result_reason: str | None
    extra: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class FirmwareAvailable(Message):
    """New firmware is available. Elements of the list that are no objects are in `data` alone."""

    firmware: tuple[Firmware, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class UpgradeScheduled(Message):
    """An upgrade was scheduled: name, id and start date [doc], devices [?]."""

    firmware_name: str | None
    upgrade_id: str | None
    start_date: str | None
    devices: tuple[Device, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class UpgradeStarted(Message):
    """An upgrade started: `upgradeProgress`. It has the id [doc]; where, and all the rest, is likely [?]."""

    firmware_name: str | None
    upgrade_id: str | None
    device_id: str | None
    status: str | None
    upgrade_start_time: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class UpgradeFinished(Message):
    """An upgrade finished. It has the id [doc]; where, and all the rest, is likely [?]."""

    firmware_name: str | None
    upgrade_id: str | None
    device_id: str | None
    status: str | None
    reason: str | None
    upgrade_finish_time: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Unknown(Message):
    """A structure that is not public (v2, v3), or a kind that this version does not know."""
