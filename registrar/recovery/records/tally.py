"""Counts what is known of all upgrades of a slot. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
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
        second_look_ms: when the first of what one look of this sweep did not find can be looked for again, in
            milliseconds since 1970; 0: there is nothing of that sort. An upgrade that the sweep did not see is left
            to the interval: it may be gone for good.
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
        for kind, count in kinds.items():
            _count(record, kind, count, sweep_ms - distance_ms)
        if record.sweep_ms == sweep_ms:
            upgrades.add(upgrade_id)
            first_looks += _first_looks(record, sweep_ms, distance_ms)
    second_look_ms = min(first_looks) + distance_ms if first_looks else 0
    return Tally(
        len(upgrades), {kind: dict(counts) for kind, counts in kinds.items()}, second_look_ms
    )


def _count(record: UpgradeRecord, kind: str, count: Counter[str], missing_since_ms: int) -> None:
    """Adds what is known of one kind; a kind that another version of this program stored is left out."""
    if finding := record.kinds.get(kind):
        count.update(_NAMES[finding.verdict])
    if times := record.devices.get(kind, {}).values():
        count["devices_missing"] += sum(
            ms == RECOVERED_MS or 0 < ms <= missing_since_ms for ms in times
        )


def _first_looks(record: UpgradeRecord, sweep_ms: int, distance_ms: int) -> Iterator[int]:
    """When what the next look decides was first looked for."""
    for finding in record.kinds.values():
        if finding.verdict is Verdict.SUSPECTED:
            yield finding.first_look_ms
        elif finding.reason in PASSING:
            yield sweep_ms
    for times in record.devices.values():
        yield from (ms for ms in times.values() if ms > max(sweep_ms - distance_ms, 0))
