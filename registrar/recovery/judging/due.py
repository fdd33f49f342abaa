"""What a state proves: which messages ThingSpace must have sent of an upgrade in it. Pure, a table.

The life cycles of the three versions are on the provider's pages [doc: campaign-lifecycle-flow-for-v1|v2|v3]; that each
step raises a callback is an inference. A state that is not listed here proves nothing.
"""

from collections.abc import Mapping
from typing import Any

SCHEDULED, STARTED, FINISHED = "upgrade-scheduled", "upgrade-started", "upgrade-finished"

NOTHING: frozenset[str] = frozenset()
_V1 = {
    "Queued": frozenset({SCHEDULED}),
    "InProgress": frozenset({SCHEDULED, STARTED}),
    "Finished": frozenset({SCHEDULED, STARTED, FINISHED}),
}
# Neither version has a state that says "started".
_V2_AND_V3 = {
    "CampaignScheduled": frozenset({SCHEDULED}),
    "CampaignEnded": frozenset({SCHEDULED, FINISHED}),
}
DUE: Mapping[str, Mapping[str, frozenset[str]]] = {"v1": _V1, "v2": _V2_AND_V3, "v3": _V2_AND_V3}

KINDS_OF_DEVICES = frozenset({STARTED, FINISHED})
"""The kinds that can be due for each device by itself; that an upgrade is scheduled is said once."""

# Upgrades in these states do not change any more; a device's result may, see docs/recovery.md.
_ENDS = ("RequestFailed", "Cancelled", "Aborted", "Failed", "Ended")
FINAL_STATUSES = frozenset(
    ("RequestFailed", "Finished", "UpgradeFailed", *(f"Campaign{word}" for word in _ENDS))
)


def due_kinds(version: str, status: str) -> frozenset[str]:
    """The kinds that the state of an upgrade proves due."""
    return DUE[version].get(status, NOTHING)


def due_kinds_of_device(version: str, device: Mapping[str, Any]) -> frozenset[str]:
    """The kinds that the state of one device proves due, where messages name devices.

    `UpgradeSuccess` proves that it finished and, but in v2, that it started. A failure proves that it finished: the
    provider writes the word in several ways. v3's `recentAttemptTime` proves that it started. [doc]

    Args:
        version: of the API.
        device: an item of a `deviceList`.
    """
    status = str(device.get("status") or "").replace(" ", "").casefold()
    due: set[str] = set()
    if status.startswith("upgradesuccess"):
        due = {STARTED, FINISHED}
    elif status.startswith(("upgradefail", "upgradedfail")):
        due = {FINISHED}
    if version == "v3" and device.get("recentAttemptTime"):
        due.add(STARTED)
    return frozenset(due - {STARTED} if version == "v2" else due)
