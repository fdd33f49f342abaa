"""How upgrades are doing, as far as the newest messages tell. Pure.

The members inside the containers are modelled on replies of the provider's REST API and are only
likely [?]: what is missing or of another form is left out, and nothing here raises because of it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from listener.inspection.entries import Entry
from listener.inspection.entry_text import data_of

Stage = Literal["scheduled", "started", "succeeded", "failed", "finished"]

SCHEDULED = "upgrade-scheduled"
STARTED = "upgrade-started"
FINISHED = "upgrade-finished"
CONTAINERS = {
    SCHEDULED: "upgradeScheduled",
    STARTED: "upgradeProgress",
    FINISHED: "upgradeFinished",
}
# Of a device that was not accepted nothing more is to be expected.
REJECTED = "reject"


@dataclass
class Upgrade:
    """One upgrade: where each of its devices is, by the last message about it.

    Attributes:
        id: ThingSpace's upgradeId.
        last: when the newest message about it arrived, RFC 3339.
        devices: the stage of each device that was named.
        rejected: devices that were not accepted when it was scheduled.
        unnamed: the newest stage told without naming a device.
        whole: whether all messages about it were read; else there may be devices that none of them names.
    """

    id: str
    account: str = ""
    firmware: str = ""
    last: str = ""
    devices: dict[str, Stage] = field(default_factory=dict)
    rejected: set[str] = field(default_factory=set)
    unnamed: Stage | None = None
    whole: bool = True

    def count(self, *stages: Stage) -> int:
        """How many devices are in some stages."""
        return sum(stage in stages for stage in self.devices.values())

    @property
    def over(self) -> int:
        """How many devices have ended, well or not."""
        return self.count("succeeded", "failed", "finished")

    @property
    def stage(self) -> str:
        """One word for all of it."""
        if not self.devices:
            return self.unnamed or "scheduled"
        if not self.whole:
            return "partly seen"
        if self.over == len(self.devices):
            failed = self.count("failed")
            return "finished" if not failed else "failed" if failed == self.over else "some failed"
        return "started" if self.over or self.count("started") else "scheduled"


def upgrades(entries: Iterable[Entry], *, all_there: bool = True) -> list[Upgrade]:
    """The upgrades that some messages are about, the one with the newest message first.

    Args:
        entries: of message streams, in any order; they are taken in the order of their `time`.
        all_there: whether there are no older messages than these. Else an upgrade is known in whole
            only if its being scheduled is among them, from which all else follows.
    """
    found: dict[str, Upgrade] = {}
    for entry in sorted(entries, key=lambda entry: entry.fields.get("time", "")):
        container = _container(entry)
        if container is not None:
            name, whole = entry.fields["subject"], all_there or entry.fields["kind"] == SCHEDULED
            upgrade = found.setdefault(name, Upgrade(name, whole=whole))
            _note(upgrade, entry, container)
    return sorted(found.values(), key=lambda upgrade: upgrade.last, reverse=True)


def _container(entry: Entry) -> Mapping[str, Any] | None:
    name = CONTAINERS.get(entry.fields.get("kind", ""))
    if name is None or "subject" not in entry.fields:
        return None
    data = data_of(entry.fields)
    container = data.get(name) if isinstance(data, Mapping) else None
    return container if isinstance(container, Mapping) else {}


def _note(upgrade: Upgrade, entry: Entry, container: Mapping[str, Any]) -> None:
    upgrade.account = entry.fields.get("account", upgrade.account)
    upgrade.firmware = _text(container, "firmwareName") or upgrade.firmware
    upgrade.last = entry.fields.get("time", upgrade.last)
    stage = _stage(entry.fields["kind"], _text(container, "status"))
    listed = container.get("deviceList")
    if device := _text(container, "deviceId"):
        _move(upgrade, device, stage)
    elif isinstance(listed, list) and listed:
        for item in listed:
            _note_listed(upgrade, item, stage)
    else:
        upgrade.unnamed = stage


def _note_listed(upgrade: Upgrade, item: Any, stage: Stage) -> None:
    if not isinstance(item, Mapping) or not (device := _text(item, "deviceId")):
        return
    if stage == "scheduled" and REJECTED in _text(item, "status").lower():
        upgrade.rejected.add(device)
    else:
        _move(upgrade, device, stage)


def _move(upgrade: Upgrade, device: str, stage: Stage) -> None:
    # What was scheduled anew, or told late, does not undo what is known to have begun.
    if stage != "scheduled" or device not in upgrade.devices:
        upgrade.devices[device] = stage
    upgrade.rejected.discard(device)


def _stage(kind: str, status: str) -> Stage:
    if kind == STARTED:
        return "started"
    if kind != FINISHED:
        return "scheduled"
    told = status.lower()
    if "fail" in told or REJECTED in told:
        return "failed"
    return "succeeded" if "success" in told else "finished"


def _text(container: Mapping[str, Any], name: str) -> str:
    value = container.get(name)
    return value if isinstance(value, str) else ""
