"""The kinds of message, each declared once: a class with its known members, and a row of `KINDS`. Pure.

Schemas, JSON Schemas, the consumer's typed messages, the text of one line, the status page, the
choices of `--kind` and the metrics' labels all derive from here. To add a kind: write its class, its
row, a sample in `listener/messages/samples` and its rows in `docs/queue.md` and `docs/consumer.md`, then run
`python -m listener schema --to docs/schemas`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from listener.messages.members import Kind, Member, documented, elements, likely

# What `listener.consumer` exports from here.
__all__ = [
    "Device",
    "Firmware",
    "FirmwareAvailable",
    "Message",
    "Recovered",
    "Unknown",
    "UpgradeFinished",
    "UpgradeScheduled",
    "UpgradeStarted",
]

FIRMWARE_NAME = "The firmware's name."
DEVICE_ID = "The device's IMEI: 15 digits, as a text."
UPGRADE_ID = (
    "The UUID that the request for the upgrade returned. Every message about an upgrade has it"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Recovered:
    """What a message rests on that ThingSpace did not send: the registrar made it of a report.

    The report says what the state was when it was read, not what was sent, and not when it came to be so.

    Args:
        version: of the API: `v1`, `v2` or `v3`.
        call: the call that showed it, such as `GET /fota/v1/upgrades/{account}/upgrade/{id}`.
        status: ThingSpace's word for the state of the upgrade, or of the device.
        device_id: the device that the report is about; None: the whole upgrade.
        report: the object of the REST API as it came, without telephone numbers.
    """

    version: str
    call: str
    status: str
    device_id: str | None
    report: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """What every message has.

    The classes below add the members that the provider documents [doc], and those of the sample
    messages, which are modelled on replies of the REST API [?]. Nothing is checked: a member is what
    the provider sent, which by its documentation is a text, dates included; None if it sent none.

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
        traceparent: W3C Trace Context of the request that brought it; None if the entry has none.
        recovered: None: ThingSpace sent the message. Otherwise it never came, and is made of a report, whose
            members the attributes of its class then hold, as far as their names agree.
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
    traceparent: str | None = None
    recovered: Recovered | None = None
    extra: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Firmware:
    """One element of `firmwareList` [doc]."""

    firmware_name: str | None = field(
        metadata=documented("firmwareName", FIRMWARE_NAME, in_line="")
    )
    participant_name: str | None = field(
        metadata=documented("participantName", "Not explained by what is public.")
    )
    launch_date: str | None = field(
        metadata=documented(
            "launchDate", "A date in one of several forms, with or without a time of day."
        )
    )
    release_note: str | None = field(metadata=documented("releaseNote", "A text; may be empty."))
    model: str | None = field(metadata=documented("model", "The devices' model."))
    make: str | None = field(metadata=documented("make", "The devices' make."))
    from_version: str | None = field(
        metadata=documented("fromVersion", "The version from which the firmware leads.")
    )
    to_version: str | None = field(
        metadata=documented("toVersion", "The version to which it leads.")
    )
    extra: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class FirmwareAvailable(Message):
    """New firmware is available. Elements of the list that are no objects are in `data` alone."""

    firmware: tuple[Firmware, ...] = field(metadata=elements(Firmware))


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """One element of `deviceList` [?]."""

    device_id: str | None = field(metadata=likely("deviceId", DEVICE_ID))
    status: str | None = field(
        metadata=likely("status", "Such as `Device Accepted` or `Device Rejected`.")
    )
    result_reason: str | None = field(metadata=likely("resultReason", "A text."))
    extra: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class UpgradeScheduled(Message):
    """An upgrade was scheduled: name, id and start date [doc], devices [?]."""

    firmware_name: str | None = field(
        metadata=documented("firmwareName", FIRMWARE_NAME, in_line="")
    )
    upgrade_id: str | None = field(metadata=documented("upgradeId", f"{UPGRADE_ID}."))
    start_date: str | None = field(
        metadata=documented("startDate", "A date in one of several forms.", in_line="")
    )
    devices: tuple[Device, ...] = field(
        metadata=likely(
            "deviceList",
            "Objects with `deviceId` (an IMEI), `status` and `resultReason`.",
            items=Device,
            in_line="device",
        )
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class UpgradeStarted(Message):
    """An upgrade started: `upgradeProgress`. It has the id [doc]; where, and all the rest, is likely [?]."""

    firmware_name: str | None = field(metadata=likely("firmwareName", FIRMWARE_NAME, in_line=""))
    upgrade_id: str | None = field(metadata=likely("upgradeId", f"{UPGRADE_ID}; where is likely."))
    device_id: str | None = field(metadata=likely("deviceId", DEVICE_ID, in_line="device"))
    status: str | None = field(metadata=likely("status", "Such as `InProgress`.", in_line=""))
    upgrade_start_time: str | None = field(
        metadata=likely("upgradeStartTime", "A date in one of several forms.")
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class UpgradeFinished(Message):
    """An upgrade finished. It has the id [doc]; where, and all the rest, is likely [?]."""

    firmware_name: str | None = field(metadata=likely("firmwareName", FIRMWARE_NAME, in_line=""))
    upgrade_id: str | None = field(metadata=likely("upgradeId", f"{UPGRADE_ID}; where is likely."))
    device_id: str | None = field(metadata=likely("deviceId", DEVICE_ID, in_line="device"))
    status: str | None = field(
        metadata=likely("status", "Such as `UpgradeSuccess` or `UpgradeFailed`.", in_line="")
    )
    reason: str | None = field(metadata=likely("reason", "A text.", in_line=""))
    upgrade_finish_time: str | None = field(
        metadata=likely("upgradeFinishTime", "A date in one of several forms.")
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Unknown(Message):
    """A structure that is not public (v2, v3), or a kind that this version does not know."""


# The documentation names the first three types. `upgradeProgress` means that an upgrade started;
# there is no type `upgradeStarted`.
KINDS = (
    Kind("firmware-available", "firmwareList", "New firmware is available.", FirmwareAvailable),
    Kind(
        "upgrade-scheduled",
        "upgradeScheduled",
        "An upgrade was scheduled.",
        UpgradeScheduled,
        stage="scheduled",
    ),
    Kind(
        "upgrade-started",
        "upgradeProgress",
        "An upgrade started.",
        UpgradeStarted,
        stage="started",
    ),
    Kind(
        "upgrade-finished",
        "upgradeFinished",
        "An upgrade finished. The name of this type rests on one third-party receiver.",
        UpgradeFinished,
        stage="finished",
    ),
)
UNKNOWN = "unknown"
"""The kind of everything else: the v2 and v3 structures are not public."""

RECOVERED = "recovered"
"""The attribute `origin` of a message that ThingSpace did not send: the registrar made it of a report."""

KIND_NAMES = (*(kind.name for kind in KINDS), UNKNOWN)
KINDS_BY_TYPE: Mapping[str, Kind] = {kind.type: kind for kind in KINDS}
KINDS_BY_NAME: Mapping[str, Kind] = {kind.name: kind for kind in KINDS}

ENVELOPE = (
    Member("accountName", "The account, such as `0242078689-00001`.", "documented"),
    Member("participantName", "Not explained by what is public.", "documented"),
)
"""The members that every message may have, besides `type` and the containers."""

ENVELOPE_NAMES = frozenset(("type", *(member.name for member in ENVELOPE), *KINDS_BY_TYPE))
