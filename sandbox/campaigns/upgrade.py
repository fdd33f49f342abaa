"""An upgrade, which v2 and v3 call a campaign: where it and its devices stand at a time. No device is kept."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from sandbox.campaigns.stages import (
    PACES_OF_A_DEVICE,
    Course,
    Position,
    Progress,
    Stage,
    course,
    opening,
)
from sandbox.provider_facts import Package, Version

# Which callbacks an upgrade raises: some for each device, some for the whole upgrade, or none. Which is true is [?].
Callbacks: TypeAlias = Literal["devices", "upgrade", "none"]
Envelope: TypeAlias = Literal["v1", "campaign"]
CALLBACKS: tuple[Callbacks, ...] = ("devices", "upgrade", "none")
ENVELOPES: tuple[Envelope, ...] = ("v1", "campaign")


@dataclass(frozen=True)
class Plan:
    """What the upgrades of one request have in common.

    Attributes:
        pace_s: seconds from one device's start to the next one's.
        failures: the share of devices whose upgrade fails, 0 to 1.
        rejections: the share of devices that are rejected at the beginning, 0 to 1.
        callbacks: which callbacks are raised.
        envelope: their form.
        announce: whether the first upgrade begins with a callback about its firmware.
        seed: chooses the devices that fail and those that are rejected.
        end_date: of the upgrades, as it was requested; None: some days after the beginning.
        members: what else was requested, for the replies that show it.
    """

    version: Version
    account: str
    package: Package
    pace_s: float = 1.0
    failures: float = 0.0
    rejections: float = 0.0
    callbacks: Callbacks = "devices"
    envelope: Envelope = "v1"
    announce: bool = False
    seed: str = "0"
    start_date: str | None = None
    end_date: str | None = None
    members: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Upgrade:
    """One upgrade. Where it stands is a function of the time, so that nothing has to move it on.

    Attributes:
        number: within its request, from 0.
        created: seconds since the epoch.
        end: the stage at which its course ends.
        placed: the position at which it stays; None: it runs its course.
        stopped: the position at which it was cancelled; None: it was not.
    """

    plan: Plan
    number: int
    id: str
    created: float
    devices: Sequence[str]
    end: Stage = Stage.DONE
    placed: Position | None = None
    stopped: Position | None = None

    @property
    def course(self) -> Course:
        return course(self.plan.version, self.end, len(self.devices))

    def position(self, now: float) -> Position:
        """How many paces of its course lie behind it."""
        if self.placed is not None:
            return self.placed
        return max(0.0, (now - self.created) / self.plan.pace_s)

    def time_at(self, position: Position) -> float:
        """When the course reaches a position, in seconds since the epoch."""
        return self.created + position * self.plan.pace_s

    def stage(self, now: float) -> Stage:
        return self._stage_at(self.position(now))

    def _stage_at(self, position: Position) -> Stage:
        if self.stopped is not None and position >= self.stopped:
            return Stage.CANCELLED
        return next(stage for at, stage in reversed(self.course) if at <= position)

    def ends_at(self) -> Position:
        """The position at which nothing more happens to it."""
        end = self.course[-1][0]
        return end if self.stopped is None else min(end, self.stopped)

    def fate(self, index: int) -> Progress:
        """How the upgrade of a device ends, if nothing stops it: by the seed, so that it need not be kept."""
        plan = self.plan
        if not plan.failures and not plan.rejections:
            return Progress.SUCCEEDED
        text = f"{plan.seed}:{self.number}:{index}".encode()
        chance = int.from_bytes(hashlib.blake2b(text, digest_size=4).digest()) / 2**32
        if chance < plan.rejections:
            return Progress.REJECTED
        failed = chance < plan.rejections + plan.failures
        return Progress.FAILED if failed else Progress.SUCCEEDED

    def starts(self, index: int) -> Position:
        """When a device's upgrade starts."""
        return float(len(opening(self.plan.version)) + index)

    def look(self, now: float) -> "Look":
        return self.look_at(self.position(now))

    def look_at(self, position: Position) -> "Look":
        """The upgrade at a position of its course, exactly: a time would be rounded."""
        return Look(self, position, self._stage_at(position), self.ends_at())


@dataclass(frozen=True, slots=True)
class Look:
    """An upgrade at a time. Reports of many devices ask it, so what they have in common is computed once.

    Attributes:
        position: how many paces of the course lie behind it.
        last: the position at which nothing more happens to it.
    """

    upgrade: Upgrade
    position: Position
    stage: Stage
    last: Position

    def progress(self, index: int) -> tuple[Progress, Position]:
        """Where a device stands, and since which position of the course."""
        if self.stage in _BEFORE_DEVICES:
            return _BEFORE_DEVICES[self.stage]
        fate, start = self.upgrade.fate(index), self.upgrade.starts(index)
        if fate is Progress.REJECTED:
            return fate, 1.0
        if start + PACES_OF_A_DEVICE <= min(self.position, self.last):
            return fate, start + PACES_OF_A_DEVICE
        if self.stage in _CUT_OFF:
            return _CUT_OFF[self.stage], self.last
        return (Progress.STARTED, start) if start <= self.position else (Progress.ACCEPTED, 1.0)


# Where every device stands, before any of them was looked at.
_BEFORE_DEVICES = {
    Stage.PENDING: (Progress.REQUESTED, 0.0),
    Stage.REQUEST_FAILED: (Progress.REJECTED, 1.0),
}
# Where a device stands whose upgrade had not ended when all of them were.
_CUT_OFF = {
    Stage.FAILED: Progress.FAILED,
    Stage.CANCELLED: Progress.CANCELLED,
    Stage.ABORTED: Progress.CANCELLED,
}
