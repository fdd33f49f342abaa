"""Counts what is known of all upgrades of a slot. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from listener.recovered.recovery_state import RECOVERABLE_KINDS
from registrar.recovery.records.upgrade_record import RECOVERED_MS, UpgradeRecord, Verdict

_NAMES = {
    Verdict.SEEN: ("due", "announced"),
    Verdict.MISSING: ("due", "missing"),
    Verdict.RECOVERED: ("due", "missing", "recovered"),
    Verdict.UNKNOWN: ("due", "unknown"),
    Verdict.SUSPECTED: ("due",),
    # Nobody looked whether it came.
    Verdict.BASELINE: (),
}
PASSING = frozenset({"spool-waiting", "streams-not-read"})
"""Reasons for not knowing that may be gone soon."""


@dataclass(frozen=True)
class Tally:
    """The counts of a slot.

    Attributes:
        upgrades: how many the sweep found.
        kinds: by kind, as `KindCounts`.
        second_look_ms: when the first of what one look did not find can be looked for again, in milliseconds
            since 1970; 0: there is nothing of that sort.
    """

    upgrades: int
    kinds: Mapping[str, Mapping[str, int]]
    second_look_ms: int


def tally(
    records: Iterable[tuple[str, UpgradeRecord]], *, sweep_ms: int, distance_ms: int
) -> Tally:
    """Counts.

    Args:
        records: of all upgrades; one may come twice, and then counts once.
        sweep_ms: when the sweep began that counts as the last one.
        distance_ms: how far apart two looks must be.
    """
    upgrades: set[str] = set()
    counted: set[str] = set()
    kinds: dict[str, Counter[str]] = {kind: Counter() for kind in RECOVERABLE_KINDS}
    first_looks: list[int] = []
    for upgrade_id, record in records:
        if upgrade_id in counted:
            continue
        counted.add(upgrade_id)
        if record.sweep_ms == sweep_ms:
            upgrades.add(upgrade_id)
        for kind, finding in record.kinds.items():
            kinds[kind].update(_NAMES[finding.verdict])
            if finding.verdict is Verdict.SUSPECTED:
                first_looks.append(finding.first_look_ms)
            elif finding.reason in PASSING:
                first_looks.append(sweep_ms)
        for kind, times in record.devices.items():
            late = [ms for ms in times.values() if ms > 0]
            missing = sum(ms <= sweep_ms - distance_ms for ms in late)
            recovered = sum(ms == RECOVERED_MS for ms in times.values())
            kinds[kind]["devices_missing"] += missing + recovered
            first_looks += [ms for ms in late if ms > sweep_ms - distance_ms]
    second_look_ms = min(first_looks) + distance_ms if first_looks else 0
    return Tally(
        len(upgrades), {kind: dict(counts) for kind, counts in kinds.items()}, second_look_ms
    )
