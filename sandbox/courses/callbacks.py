"""The callbacks that an upgrade raises on its course, and when: made one after the other, so that none has to be kept."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, TypeAlias

from sandbox.campaigns.stages import PACES_OF_A_DEVICE, V1_WORDS, WORDS, Position, Progress, Stage
from sandbox.campaigns.upgrade import Look, Upgrade
from sandbox.reports import dates, v1, v2, v3

Kind: TypeAlias = Literal["available", "scheduled", "started", "finished"]
Message: TypeAlias = dict[str, Any]

# The names of v1's messages, which are also the names of their containers. [doc]
TYPES: dict[Kind, str] = {
    "available": "firmwareList",
    "scheduled": "upgradeScheduled",
    "started": "upgradeProgress",
    "finished": "upgradeFinished",
}
# [?] How many devices a message names is not known; a message with a hundred thousand would be refused for its size.
DEVICES_IN_A_MESSAGE = 100


@dataclass(frozen=True, slots=True)
class Event:
    """A callback that is due.

    Attributes:
        position: when, on the upgrade's course.
        device: the index of the device that it is about; None: it is about the upgrade.
    """

    position: Position
    kind: Kind
    device: int | None = None


def events(upgrade: Upgrade) -> Iterator[Event]:
    """The callbacks of a whole course, in the order of their positions.

    Whether ThingSpace sends them for each device or for the upgrade as a whole is [?], and so is whether a cancelled,
    failed or aborted upgrade raises any for its end: here it does not.
    """
    plan, begins = upgrade.plan, {stage: at for at, stage in upgrade.course}
    if plan.callbacks == "none":
        return
    if plan.announce and upgrade.number == 0 and plan.envelope == "v1":
        yield Event(0.0, "available")
    accepted = Stage.QUEUED if plan.version == "v1" else Stage.UNDER_WAY
    if accepted in begins and upgrade.end is not Stage.REQUEST_FAILED:
        yield Event(begins[accepted], "scheduled")
    if Stage.UNDER_WAY not in begins:
        return
    if plan.callbacks == "devices":
        yield from _of_devices(upgrade)
    elif plan.envelope == "v1":
        yield Event(begins[Stage.UNDER_WAY], "started")
    of_the_upgrade = plan.callbacks == "upgrade" or plan.envelope == "campaign"
    if upgrade.end is Stage.DONE and of_the_upgrade:
        yield Event(begins[Stage.DONE], "finished")


def _of_devices(upgrade: Upgrade) -> Iterator[Event]:
    """A start for each device, and an end three paces later."""
    count, last = len(upgrade.devices), upgrade.ends_at()
    for step in range(count + PACES_OF_A_DEVICE):
        position, ended = upgrade.starts(step), step - PACES_OF_A_DEVICE
        if position > last:
            return
        if ended >= 0 and upgrade.fate(ended) is not Progress.REJECTED:
            yield Event(position, "finished", ended)
        if step < count and position < last and upgrade.fate(step) is not Progress.REJECTED:
            yield Event(position, "started", step)


def message(upgrade: Upgrade, event: Event) -> Message:
    """The callback's JSON. v2's and v3's forms are [?]: see the plan's `envelope`."""
    look = upgrade.look_at(event.position)
    if upgrade.plan.envelope == "campaign":
        return _campaign_form(look, event)
    return _v1_form(look, event)


def _v1_form(look: Look, event: Event) -> Message:
    """v1's envelope [doc]; what its containers hold is modelled on the reports [?]. The sender adds the login."""
    plan, kind = look.upgrade.plan, TYPES[event.kind]
    content: Any
    if event.kind == "available":
        content = [v1.firmware(plan.package, plan.account)]
    else:
        about = {"firmwareName": plan.package.name, "upgradeId": look.upgrade.id}
        content = {**about, **_content(look, event)}
    return {
        "accountName": plan.account,
        "participantName": plan.account,
        "type": kind,
        "firmwareList": [],
        "upgradeScheduled": {},
        "upgradeProgress": {},
        kind: content,
    }


def _content(look: Look, event: Event) -> Message:
    upgrade = look.upgrade
    time = upgrade.time_at(event.position)
    if event.kind == "scheduled":
        devices = v1.devices(look)
        return {
            "startDate": upgrade.plan.start_date or dates.day(upgrade.created),
            "deviceList": list(islice(devices, DEVICES_IN_A_MESSAGE)),
        }
    device = {} if event.device is None else {"deviceId": upgrade.devices[event.device]}
    if event.kind == "started":
        return {**device, "status": "InProgress", "upgradeStartTime": dates.seconds(time)}
    finished = {"upgradeFinishTime": dates.utc_text(time)}
    if event.device is None:
        return {"status": V1_WORDS[look.stage], **finished}
    status, reason = v1.device_words(look.progress(event.device)[0])
    return {**device, "status": status, "reason": reason, **finished}


def _campaign_form(look: Look, event: Event) -> Message:
    """An account, the campaign's id, a status, and for a device its id and the reason. [?]"""
    upgrade = look.upgrade
    about = {"accountName": upgrade.plan.account, "campaignId": upgrade.id}
    if event.device is None:
        return {**about, "status": WORDS[upgrade.plan.version][look.stage]}
    item = v3.device_status if upgrade.plan.version == "v3" else v2.device_status
    device = item(look, event.device)
    return {
        **about,
        "deviceId": device["deviceId"],
        "status": device["status"],
        "reason": device["resultReason"],
    }
