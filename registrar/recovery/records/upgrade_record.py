"""What recovery remembers of one upgrade: a verdict for each kind that was proved due. Pure, and JSON in Redis."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self


class Verdict(StrEnum):
    """What is known of a message that was due."""

    SEEN = "seen"
    """It came."""
    BASELINE = "baseline"
    """It was due before the first sweep, and is not judged."""
    SUSPECTED = "suspected"
    """One look did not find it: the next one decides."""
    MISSING = "missing"
    """Two looks did not find it."""
    RECOVERED = "recovered"
    """It was missing, and a recovered message is in the queue."""
    UNKNOWN = "unknown"
    """It did not come as far as is known, and may have come all the same; the reason says why."""


@dataclass(frozen=True)
class Finding:
    """The verdict on one kind of message of one upgrade.

    Attributes:
        verdict: see there.
        first_look_ms: when it was first looked for in vain, in milliseconds since 1970; 0: never.
        not_before_ms: the message cannot have come earlier; None: it may have come at any time.
        reason: of `UNKNOWN`, one word.
    """

    verdict: Verdict
    first_look_ms: int = 0
    not_before_ms: int | None = None
    reason: str = ""


SET_ASIDE_MS = 0
RECOVERED_MS = -1


@dataclass(frozen=True)
class UpgradeRecord:
    """One upgrade.

    Attributes:
        status: at the last look that was not blind.
        looked_ms: when that was, in milliseconds since 1970.
        kinds: what is known, by kind.
        devices: by kind, the devices for which it was due and did not come: when that was first noticed, in
            milliseconds since 1970, or `SET_ASIDE_MS` (before the baseline), or `RECOVERED_MS`.
        born_ms: when the last complete sweep began that did not find it yet; 0: there was none.
        devices_ms: when the devices were last judged; 0: never.
        sweep_ms: when the last sweep began that found the upgrade.
        absences: how many sweeps in a row did not find it.
    """

    status: str
    looked_ms: int
    kinds: Mapping[str, Finding] = field(default_factory=dict)
    devices: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    born_ms: int = 0
    devices_ms: int = 0
    sweep_ms: int = 0
    absences: int = 0

    def to_json(self) -> str:
        """Compact, because there is one for each upgrade of an account."""
        kinds = {kind: _packed(finding) for kind, finding in self.kinds.items()}
        content: dict[str, Any] = {
            "status": self.status,
            "looked": self.looked_ms,
            "sweep": self.sweep_ms,
            "kinds": kinds,
        }
        if devices := {kind: dict(times) for kind, times in self.devices.items() if times}:
            content["devices"] = devices
        for name in ("born_ms", "devices_ms"):
            if value := getattr(self, name):
                content[name] = value
        if self.absences:
            content["absences"] = self.absences
        return json.dumps(content, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self | None:
        """Reads a stored record; None: another version wrote it, and this one cannot read it."""
        try:
            content = json.loads(text)
            return cls(
                str(content["status"]),
                int(content["looked"]),
                {kind: _unpacked(packed) for kind, packed in content["kinds"].items()},
                {
                    kind: {device: int(ms) for device, ms in times.items()}
                    for kind, times in content.get("devices", {}).items()
                },
                int(content.get("born_ms", 0)),
                int(content.get("devices_ms", 0)),
                int(content.get("sweep", 0)),
                int(content.get("absences", 0)),
            )
        except (TypeError, ValueError, KeyError, AttributeError, RecursionError):
            return None


def _packed(finding: Finding) -> list[Any]:
    packed = [finding.verdict.value, finding.first_look_ms, finding.not_before_ms, finding.reason]
    while packed[-1] in (0, "", None):
        packed.pop()
    return packed


def _unpacked(packed: list[Any]) -> Finding:
    verdict, first_look_ms, not_before_ms, reason, *_ = [*packed, *[None] * 4][:4]
    return Finding(
        Verdict(verdict),
        int(first_look_ms or 0),
        None if not_before_ms is None else int(not_before_ms),
        str(reason or ""),
    )
