"""The verdict on each message that was due: did it come? Pure, and the only place that decides.

| the message is | if |
|---|---|
| seen | a message of the kind came of the upgrade |
| baseline | it was due at the first sweep, and nobody asked for what lies before |
| unknown | it did not come, and: a message of an unknown kind came that has the upgrade's id, or a spool has messages that wait, or the streams were not read to their end, or it may have come and been trimmed before it was read |
| suspected | it did not come, and this is the first look that says so |
| missing | it did not come, and a look that was long enough ago said so too |
| recovered | it was missing, and was put into the queue: stays so unless the message itself comes |

"Long enough" is 15 minutes, in v1 a day, because v1's data of devices is daily [doc].
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from registrar.recovery.judging.due import FINAL_STATUSES, SCHEDULED, STARTED
from registrar.recovery.records.upgrade_record import (
    RECOVERED_MS,
    SET_ASIDE_MS,
    Finding,
    UpgradeRecord,
    Verdict,
)

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS
LOOK_DISTANCE_MS = {"v1": DAY_MS, "v2": 15 * MINUTE_MS, "v3": 15 * MINUTE_MS}
REPORT_LAG_MS = DAY_MS
"""A report may say a day late what a callback said at once. [doc, of v1; a guess for v2 and v3]"""
# Of one upgrade and kind; the others are noticed once these are recovered or came.
MAX_DEVICES_IN_QUESTION = 10_000


@dataclass(frozen=True)
class Look:
    """One look at one upgrade.

    Attributes:
        at_ms: when, in milliseconds since 1970.
        status: what ThingSpace said.
        due: the kinds that this proves due.
        distance_ms: how far apart two looks must be.
        is_baseline: whether what is found due for the first time is recorded and not judged.
        swept_ms: when the last complete sweep of the slot began; None: there was none.
        is_asked_for: whether an operator asked for what lies before the baseline, and this upgrade is part of it.
        start_ms: when the upgrade was to start, as ThingSpace says; None: it does not say.
    """

    at_ms: int
    status: str
    due: frozenset[str]
    distance_ms: int
    is_baseline: bool = False
    swept_ms: int | None = None
    is_asked_for: bool = False
    start_ms: int | None = None


@dataclass(frozen=True)
class Evidence:
    """What is known of the messages that came of one upgrade.

    Attributes:
        kinds: the kinds that came.
        complete_since_ms: messages that came earlier may have been trimmed before they were read; 0: none was.
        blindness: why nothing can be said of what came lately, one word; empty: all of it is known.
    """

    kinds: frozenset[str]
    complete_since_ms: int = 0
    blindness: str = ""

    @property
    def doubt(self) -> str:
        """Why a message may have come although its kind did not, one word; empty: for no reason."""
        return self.blindness or ("unknown-kind" if "unknown" in self.kinds else "")


def judge(record: UpgradeRecord | None, look: Look, evidence: Evidence) -> UpgradeRecord:
    """The record after one more look. What was proved due once stays due, whatever the upgrade's state is now."""
    before = record.kinds if record else {}
    kinds = {
        kind: _judge_kind(kind, before.get(kind), record, look, evidence)
        for kind in sorted({*before, *look.due})
    }
    if record:
        after = replace(record, kinds=kinds, absences=0)
    else:
        swept_ms = look.swept_ms or 0
        after = UpgradeRecord("", swept_ms, kinds, born_ms=swept_ms)
    # What a blind look saw is no bound for what the next one finds due.
    return after if evidence.blindness else replace(after, status=look.status, looked_ms=look.at_ms)


def _judge_kind(
    kind: str,
    before: Finding | None,
    record: UpgradeRecord | None,
    look: Look,
    evidence: Evidence,
) -> Finding:
    if kind in evidence.kinds or (before and before.verdict is Verdict.SEEN):
        return Finding(Verdict.SEEN)
    if before is None and look.is_baseline and not look.is_asked_for:
        return Finding(Verdict.BASELINE)
    not_before_ms = _not_before_ms(kind, record, look)
    if before and before.verdict is Verdict.BASELINE and look.is_asked_for:
        before, not_before_ms = None, _start_bound_ms(kind, look)
    if before and before.verdict in {Verdict.BASELINE, Verdict.MISSING, Verdict.RECOVERED}:
        return before
    if before:
        not_before_ms = before.not_before_ms
    # A clock that was ahead at the first look must not put the second one off.
    first_look_ms = min(before.first_look_ms, look.at_ms) if before else 0
    if doubt := evidence.doubt or _trimmed(not_before_ms, evidence):
        return Finding(Verdict.UNKNOWN, first_look_ms, not_before_ms, doubt)
    if first_look_ms and look.at_ms - first_look_ms >= look.distance_ms:
        return Finding(Verdict.MISSING, first_look_ms)
    return Finding(Verdict.SUSPECTED, first_look_ms or look.at_ms, not_before_ms)


def _not_before_ms(kind: str, record: UpgradeRecord | None, look: Look) -> int | None:
    """When a message that is due now and was not at the look before can have come at the earliest."""
    earlier_ms = record.looked_ms if record else look.swept_ms
    bounds = [
        None if earlier_ms is None else earlier_ms - REPORT_LAG_MS,
        _start_bound_ms(kind, look),
    ]
    return max((bound for bound in bounds if bound is not None), default=None)


def _start_bound_ms(kind: str, look: Look) -> int | None:
    """No upgrade starts before its date, give or take a time zone; it may be scheduled long before."""
    if look.start_ms is None or kind == SCHEDULED:
        return None
    return look.start_ms - DAY_MS


def _trimmed(not_before_ms: int | None, evidence: Evidence) -> str:
    since_ms = evidence.complete_since_ms
    is_covered = not since_ms or (not_before_ms is not None and not_before_ms >= since_ms)
    return "" if is_covered else "trimmed"


def judge_devices(
    kind: str,
    record: UpgradeRecord | None,
    due: frozenset[str],
    *,
    seen: frozenset[str],
    look: Look,
    evidence: Evidence,
) -> dict[str, int]:
    """Which devices one kind is in question for, and since when; as `UpgradeRecord.devices`.

    Args:
        kind: of message.
        record: as it was before this look.
        due: the devices for which the kind is due.
        seen: the devices for which it came.
        look: this one.
        evidence: of the upgrade; while it is in doubt no further device is noticed.
    """
    before = record.devices.get(kind, {}) if record else {}
    kept = {device: ms for device, ms in before.items() if device not in seen}
    if look.is_asked_for:
        kept = {device: ms or look.at_ms for device, ms in kept.items()}
    if evidence.doubt or _trimmed(_devices_not_before_ms(kind, record, look), evidence):
        return kept
    fresh = sorted(due - seen - kept.keys())
    if not look.is_asked_for and (look.is_baseline or _was_set_aside(kind, record)):
        return {**kept, **dict.fromkeys(fresh, SET_ASIDE_MS)}
    room = max(MAX_DEVICES_IN_QUESTION - sum(ms > 0 for ms in kept.values()), 0)
    return {**kept, **dict.fromkeys(fresh[:room], _noticed_ms(kind, record, look))}


def _devices_not_before_ms(kind: str, record: UpgradeRecord | None, look: Look) -> int | None:
    """As `_not_before_ms`, since devices were judged last.

    That a device started may be proved only by its end, so the look before is no bound for it.
    """
    if record is None:
        return _not_before_ms(kind, None, look)
    earlier_ms = record.born_ms if kind == STARTED else record.devices_ms
    if not earlier_ms:
        return _start_bound_ms(kind, look)
    return _not_before_ms(kind, replace(record, looked_ms=earlier_ms), look)


def _was_set_aside(kind: str, record: UpgradeRecord | None) -> bool:
    """Whether the kind was due at the baseline, of unknown devices."""
    finding = record.kinds.get(kind) if record else None
    if record is None or finding is None or finding.verdict is not Verdict.BASELINE:
        return False
    return kind == STARTED or not record.devices_ms


def _noticed_ms(kind: str, record: UpgradeRecord | None, look: Look) -> int:
    """Since when further devices have been in question.

    Whether messages name devices may be learnt only after an upgrade was found to lack all of a kind. If it was at
    its end by then, so were its devices.
    """
    if record and record.status == look.status and look.status in FINAL_STATUSES:
        finding = record.kinds.get(kind)
        if finding and finding.verdict in {Verdict.SUSPECTED, Verdict.MISSING}:
            return finding.first_look_ms
    return look.at_ms


def missing_devices(questions: Mapping[str, int], look: Look, evidence: Evidence) -> list[str]:
    """The devices that two looks far enough apart did not find, and that are not recovered."""
    if evidence.doubt:
        return []
    return sorted(
        device
        for device, ms in questions.items()
        if ms not in (SET_ASIDE_MS, RECOVERED_MS) and look.at_ms - ms >= look.distance_ms
    )
