"""The stages of an upgrade and of a device in it, the order in which they come, and ThingSpace's words for them."""

from collections.abc import Mapping
from enum import Enum
from typing import TypeAlias

from sandbox.provider_facts import Version

# A position on a course, counted in paces from its beginning.
Position: TypeAlias = float
Course: TypeAlias = tuple[tuple[Position, "Stage"], ...]

# How many paces pass from a device's start to its end. [?]
PACES_OF_A_DEVICE = 3


class Stage(Enum):
    """Where an upgrade stands, whatever the version calls it."""

    PENDING = "pending"
    REQUEST_FAILED = "request failed"
    QUEUED = "queued"
    PRE_SCHEDULED = "pre-scheduled"
    UNDER_WAY = "under way"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ABORTED = "aborted"


class Progress(Enum):
    """Where a device of an upgrade stands."""

    REQUESTED = "requested"
    REJECTED = "rejected"
    ACCEPTED = "accepted"
    STARTED = "started"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


# docs/thingspace.md#states
# [doc, sdk] v1 has no word for a cancelled upgrade: whether it stays in any list is [?].
V1_WORDS: Mapping[Stage, str] = {
    Stage.PENDING: "RequestPending",
    Stage.QUEUED: "Queued",
    Stage.REQUEST_FAILED: "RequestFailed",
    Stage.UNDER_WAY: "InProgress",
    Stage.DONE: "Finished",
    Stage.FAILED: "UpgradeFailed",
}
# [doc, sdk] That "scheduled" is also the word while devices are upgraded is [?]: v2 and v3 have no other.
V2_WORDS: Mapping[Stage, str] = {
    Stage.PENDING: "CampaignRequestPending",
    Stage.REQUEST_FAILED: "CampaignRequestFailed",
    Stage.QUEUED: "CampaignRequestQueued",
    Stage.UNDER_WAY: "CampaignScheduled",
    Stage.DONE: "CampaignEnded",
    Stage.FAILED: "CampaignFailed",
    Stage.CANCELLED: "CampaignCancelled",
    Stage.ABORTED: "CampaignAborted",
}
# [doc] The pages disagree on the word for queued: see `ReportOptions`.
V3_WORDS: Mapping[Stage, str] = {**V2_WORDS, Stage.PRE_SCHEDULED: "CampaignPreScheduled"}
QUEUED_ELSEWHERE = "CampaignQueued"
WORDS: Mapping[Version, Mapping[Stage, str]] = {"v1": V1_WORDS, "v2": V2_WORDS, "v3": V3_WORDS}

# How an upgrade may end.
ENDS = (
    Stage.DONE,
    Stage.REQUEST_FAILED,
    Stage.FAILED,
    Stage.CANCELLED,
    Stage.ABORTED,
)


def stage_of(version: Version, word: str) -> Stage | None:
    """The stage that a word names, in either spelling; None: the version has no such word."""
    if version == "v3" and word == QUEUED_ELSEWHERE:
        return Stage.QUEUED
    return next((stage for stage, name in WORDS[version].items() if name == word), None)


def opening(version: Version) -> tuple[Stage, ...]:
    """The stages before the devices' upgrades begin, one pace each. That v3's pre-scheduled follows queued is [?]."""
    begin = (Stage.PENDING, Stage.QUEUED)
    return (*begin, Stage.PRE_SCHEDULED) if version == "v3" else begin


def course(version: Version, end: Stage, devices: int) -> Course:
    """When an upgrade enters each of its stages. One device starts a pace, and ends three paces later.

    Args:
        version: the API's.
        end: the last stage, one of `ENDS`.
        devices: how many are upgraded.
    """
    before = tuple((float(at), stage) for at, stage in enumerate(opening(version)))
    begin = len(before)
    if end is Stage.REQUEST_FAILED:
        return (before[0], (1.0, end))
    if end in {Stage.FAILED, Stage.CANCELLED}:
        return (*before, (float(begin), end))
    under_way = (float(begin), Stage.UNDER_WAY)
    if end is Stage.ABORTED:
        return (*before, under_way, (begin + max(1.0, devices / 2), end))
    return (*before, under_way, (float(begin + devices + PACES_OF_A_DEVICE), end))
