"""Tracks how far each upgrade and its devices are, from the newest messages.

The members inside the containers are modelled on replies of the provider's REST API and are only
likely [?]: a member that is missing or has another form is ignored, and never raises.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from listener.inspection.stream_entry import StreamEntry
from listener.messages.kinds import KINDS_BY_NAME, RECOVERED
from listener.messages.members import Kind
from listener.ops.status_page.message_content import MessageContent, listed_devices, text_of
from listener.runtime.native_thread import NativeThread

Stage = Literal["scheduled", "started", "succeeded", "failed", "finished"]

# No further message is expected of a device that was not accepted.
REJECTED = "reject"
PARSE_TIMEOUT_S = 5.0

# How far a device is at each stage.
_PROGRESS: Mapping[Stage | None, int] = {
    "scheduled": 0,
    "started": 1,
    "finished": 2,
    "succeeded": 2,
    "failed": 2,
}

_thread = NativeThread()


@dataclass
class Upgrade:
    """One upgrade, with the stage of each of its devices by the last message about that device.

    Attributes:
        id: ThingSpace's upgradeId.
        last: when the newest message about it arrived, RFC 3339.
        devices: the stage of each device that a message named, by its id.
        rejected: devices that were not accepted when it was scheduled.
        last_entries: the message that decided where each device is, by the device's id.
        stage_without_devices: the stage by the newest message that named no device.
        complete: whether all messages about it were read, and looked into; otherwise there may be more devices.
        too_large: the number of messages about it that were too large to be looked into.
    """

    id: str
    account: str = ""
    firmware: str = ""
    last: str = ""
    devices: dict[str, Stage] = field(default_factory=dict)
    rejected: set[str] = field(default_factory=set)
    last_entries: dict[str, StreamEntry] = field(default_factory=dict)
    stage_without_devices: Stage | None = None
    complete: bool = True
    too_large: int = 0

    def count(self, *stages: Stage) -> int:
        """The number of devices in these stages."""
        return sum(stage in stages for stage in self.devices.values())

    @property
    def ended(self) -> int:
        """The number of devices whose upgrade ended, successfully or not."""
        return self.count("succeeded", "failed", "finished")

    @property
    def stage(self) -> str:
        """The stage of the whole upgrade, in one word or two."""
        if not self.devices:
            return self._stage_without_devices
        if not self.complete:
            return "partly seen"
        if self.ended == len(self.devices):
            failed = self.count("failed")
            return "finished" if not failed else "failed" if failed == self.ended else "some failed"
        return "started" if self.ended or self.count("started") else "scheduled"

    @property
    def _stage_without_devices(self) -> str:
        stage = self.stage_without_devices or "scheduled"
        # What ended may be one device of many.
        return stage if self.complete or stage in {"scheduled", "started"} else "partly seen"


def track_upgrades(entries: Iterable[StreamEntry], *, complete: bool = True) -> list[Upgrade]:
    """The upgrades that the messages are about, the one with the newest message first.

    Args:
        entries: of message streams, in any order; they are applied in the order of their `time`.
        complete: whether there are no older messages than these. If there are, an upgrade is complete
            only if the message that it was scheduled is among them.
    """
    by_id: dict[str, Upgrade] = {}
    # Recovered messages come last: what ThingSpace sent says more.
    for entry in sorted(entries, key=lambda each: (is_recovered(each), _time(each))):
        kind = KINDS_BY_NAME.get(entry.fields.get("kind", ""))
        if kind and kind.stage and "subject" in entry.fields:
            upgrade_id, is_first = entry.fields["subject"], kind.stage == "scheduled"
            new = Upgrade(upgrade_id, complete=complete or is_first)
            upgrade = by_id.setdefault(upgrade_id, new)
            (_apply_report if is_recovered(entry) else _apply)(upgrade, entry, kind)
    return sorted(by_id.values(), key=lambda upgrade: upgrade.last, reverse=True)


def track_in_thread(entries: Sequence[StreamEntry], *, complete: bool = True) -> list[Upgrade]:
    """As `track_upgrades`, in a native thread, so that the messages of this process wait a few milliseconds at most."""
    return _thread.run(lambda: track_upgrades(entries, complete=complete), PARSE_TIMEOUT_S)


def is_recovered(entry: StreamEntry) -> bool:
    """Whether ThingSpace did not send the message."""
    return entry.fields.get("origin") == RECOVERED


def _time(entry: StreamEntry) -> str:
    return entry.fields.get("time", "")


def _apply(upgrade: Upgrade, entry: StreamEntry, kind: Kind) -> None:
    container = _begin(upgrade, entry)
    stage = _stage(kind, text_of(container, "status"))
    devices = list(listed_devices(container))
    if device := text_of(container, "deviceId"):
        _set_stage(upgrade, device, stage, entry)
    elif devices:
        for device, status in devices:
            _apply_listed(upgrade, device, status, stage, entry)
    else:
        upgrade.stage_without_devices = stage


def _apply_report(upgrade: Upgrade, entry: StreamEntry, kind: Kind) -> None:
    """Applies a recovered message, where it is further than what ThingSpace sent."""
    report = _begin(upgrade, entry)
    devices = list(listed_devices(report))
    if device := text_of(report, "deviceId"):
        devices = [(device, text_of(report, "status"))]
    elif kind.stage == "started" or not devices:
        # That the upgrade has started is not said of each of its devices.
        devices = []
        upgrade.stage_without_devices = upgrade.stage_without_devices or _stage(kind, "")
    for device, status in devices:
        stage = _stage(kind, status)
        is_further = _PROGRESS[stage] > _PROGRESS.get(upgrade.devices.get(device), -1)
        if is_further and device not in upgrade.rejected:
            _apply_listed(upgrade, device, status, stage, entry)


def _begin(upgrade: Upgrade, entry: StreamEntry) -> Mapping[str, Any]:
    """Applies what every message says; returns its container."""
    if "data" in entry.cut:
        # It may name any number of devices.
        upgrade.too_large += 1
        upgrade.complete = False
    container = MessageContent.read(entry).container
    upgrade.account = entry.fields.get("account", upgrade.account)
    upgrade.firmware = text_of(container, "firmwareName") or upgrade.firmware
    upgrade.last = max(upgrade.last, _time(entry))
    return container


def _apply_listed(
    upgrade: Upgrade, device: str, status: str, stage: Stage, entry: StreamEntry
) -> None:
    if stage == "scheduled" and REJECTED in status.lower():
        upgrade.rejected.add(device)
        upgrade.last_entries[device] = entry
    else:
        _set_stage(upgrade, device, stage, entry)


def _set_stage(upgrade: Upgrade, device: str, stage: Stage, entry: StreamEntry) -> None:
    # A message that the upgrade was scheduled, repeated or late, does not undo that it started.
    if stage != "scheduled" or device not in upgrade.devices:
        upgrade.devices[device] = stage
        upgrade.last_entries[device] = entry
    upgrade.rejected.discard(device)


def _stage(kind: Kind, status: str) -> Stage:
    if kind.stage != "finished":
        return kind.stage or "scheduled"
    status = status.lower()
    if "fail" in status or REJECTED in status:
        return "failed"
    return "succeeded" if "success" in status else "finished"


def worst_first(upgrades: Iterable[Upgrade]) -> list[Upgrade]:
    """Those in which a device failed before the others; otherwise in the order given."""
    return sorted(upgrades, key=lambda upgrade: not upgrade.count("failed"))


# What an operator looks for first.
STAGES_BY_URGENCY: tuple[str, ...] = (
    "failed", "rejected", "started", "scheduled", "finished", "succeeded",
)  # fmt: skip


def devices_by_urgency(upgrade: Upgrade) -> list[tuple[str, str, StreamEntry]]:
    """Each device of an upgrade, its stage or `rejected`, and the message that says so; failed ones first."""
    stages: dict[str, str] = dict.fromkeys(upgrade.rejected, "rejected") | upgrade.devices
    ordered = sorted(stages.items(), key=lambda item: (STAGES_BY_URGENCY.index(item[1]), item[0]))
    return [(device, stage, upgrade.last_entries[device]) for device, stage in ordered]
