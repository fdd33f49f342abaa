"""Tracks how far each upgrade and its devices are, from the newest messages. Pure.

The members inside the containers are modelled on replies of the provider's REST API and are only
likely [?]: a member that is missing or has another form is ignored, and never raises.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from listener.inspection.entry_text import data_of
from listener.inspection.stream_entry import StreamEntry
from listener.messages.kinds import KINDS_BY_NAME
from listener.messages.members import Kind

Stage = Literal["scheduled", "started", "succeeded", "failed", "finished"]

# No further message is expected of a device that was not accepted.
REJECTED = "reject"


@dataclass
class Upgrade:
    """One upgrade, with the stage of each of its devices by the last message about that device.

    Attributes:
        id: ThingSpace's upgradeId.
        last: when the newest message about it arrived, RFC 3339.
        devices: the stage of each device that a message named, by its id.
        rejected: devices that were not accepted when it was scheduled.
        stage_without_devices: the stage by the newest message that named no device.
        complete: whether all messages about it were read; otherwise there may be more devices.
    """

    id: str
    account: str = ""
    firmware: str = ""
    last: str = ""
    devices: dict[str, Stage] = field(default_factory=dict)
    rejected: set[str] = field(default_factory=set)
    stage_without_devices: Stage | None = None
    complete: bool = True

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
            return self.stage_without_devices or "scheduled"
        if not self.complete:
            return "partly seen"
        if self.ended == len(self.devices):
            failed = self.count("failed")
            return "finished" if not failed else "failed" if failed == self.ended else "some failed"
        return "started" if self.ended or self.count("started") else "scheduled"


def track_upgrades(entries: Iterable[StreamEntry], *, complete: bool = True) -> list[Upgrade]:
    """The upgrades that the messages are about, the one with the newest message first.

    Args:
        entries: of message streams, in any order; they are applied in the order of their `time`.
        complete: whether there are no older messages than these. If there are, an upgrade is complete
            only if the message that it was scheduled is among them.
    """
    by_id: dict[str, Upgrade] = {}
    for entry in sorted(entries, key=lambda entry: entry.fields.get("time", "")):
        kind = KINDS_BY_NAME.get(entry.fields.get("kind", ""))
        if kind and kind.stage and "subject" in entry.fields:
            upgrade_id, is_first = entry.fields["subject"], kind.stage == "scheduled"
            new = Upgrade(upgrade_id, complete=complete or is_first)
            upgrade = by_id.setdefault(upgrade_id, new)
            _apply(upgrade, entry, kind)
    return sorted(by_id.values(), key=lambda upgrade: upgrade.last, reverse=True)


def _apply(upgrade: Upgrade, entry: StreamEntry, kind: Kind) -> None:
    container = _container(entry, kind)
    upgrade.account = entry.fields.get("account", upgrade.account)
    upgrade.firmware = _text(container, "firmwareName") or upgrade.firmware
    upgrade.last = entry.fields.get("time", upgrade.last)
    stage = _stage(kind, _text(container, "status"))
    devices = container.get("deviceList")
    if device := _text(container, "deviceId"):
        _set_stage(upgrade, device, stage)
    elif isinstance(devices, list) and devices:
        for item in devices:
            _apply_listed(upgrade, item, stage)
    else:
        upgrade.stage_without_devices = stage


def _container(entry: StreamEntry, kind: Kind) -> Mapping[str, Any]:
    data = data_of(entry.fields)
    container = data.get(kind.type) if isinstance(data, Mapping) else None
    return container if isinstance(container, Mapping) else {}


def _apply_listed(upgrade: Upgrade, item: Any, stage: Stage) -> None:
    if not isinstance(item, Mapping) or not (device := _text(item, "deviceId")):
        return
    if stage == "scheduled" and REJECTED in _text(item, "status").lower():
        upgrade.rejected.add(device)
    else:
        _set_stage(upgrade, device, stage)


def _set_stage(upgrade: Upgrade, device: str, stage: Stage) -> None:
    # A message that the upgrade was scheduled, repeated or late, does not undo that it started.
    if stage != "scheduled" or device not in upgrade.devices:
        upgrade.devices[device] = stage
    upgrade.rejected.discard(device)


def _stage(kind: Kind, status: str) -> Stage:
    if kind.stage != "finished":
        return kind.stage or "scheduled"
    status = status.lower()
    if "fail" in status or REJECTED in status:
        return "failed"
    return "succeeded" if "success" in status else "finished"


def _text(container: Mapping[str, Any], name: str) -> str:
    value = container.get(name)
    return value if isinstance(value, str) else ""
