"""When a slot is swept next, and why. Pure.

| cause | when |
|---|---|
| `baseline` | some minutes after the start of the first process that runs |
| `interval` | RECOVERY_INTERVAL_H after the last sweep began, and up to a tenth more |
| `gap` | five minutes after messages may have been lost |
| `second-look` | as soon as what one look did not find can be looked for again |
| `resumed` | a quarter of an hour after a sweep failed, or when ThingSpace allows; after each refusal in a row twice as late, up to the interval; at once after a process ended in its middle |

No sweep begins in the first minutes of a process: what waits in a spool is moved to Redis first.

A time that was stored by a clock that was ahead is not believed: the next sweep comes at once, and stores another.
"""

import zlib
from dataclasses import dataclass

from registrar.model import Slot
from registrar.recovery.records.slot_record import SlotRecord

MINUTE_MS = 60_000
FIRST_DELAY_MS = 5 * MINUTE_MS
GAP_DELAY_MS = 5 * MINUTE_MS
RETRY_MS = 15 * MINUTE_MS
JITTER = 0.1
# A second look has to wait for at least so long after the sweep before.
LOOK_PAUSE_MS = MINUTE_MS
# The clocks of replicas differ by less.
CLOCK_SKEW_MS = 5 * MINUTE_MS
# No wait is longer: ThingSpace asks for a day at most.
MAX_RETRY_MS = 24 * 60 * MINUTE_MS


@dataclass(frozen=True)
class NextSweep:
    """When, in milliseconds since 1970, and why."""

    at_ms: int
    cause: str


def next_sweep(
    slot: Slot,
    record: SlotRecord,
    *,
    now_ms: int,
    started_ms: int,
    interval_ms: int,
    gap_ms: int,
) -> NextSweep:
    """The next sweep of a slot; the same in all replicas but for `started_ms`.

    Args:
        slot: account and version.
        record: of the slot.
        now_ms: the time of day.
        started_ms: when this process started.
        interval_ms: of RECOVERY_INTERVAL_H.
        gap_ms: when messages may have been lost last; 0: never.
    """
    first_ms = started_ms + min(FIRST_DELAY_MS, interval_ms)
    if record.progress or record.retry_ms:
        cause = record.progress.cause if record.progress else "resumed"
        longest_ms = max(MAX_RETRY_MS, interval_ms) + CLOCK_SKEW_MS
        retry_ms = record.retry_ms if record.retry_ms <= now_ms + longest_ms else 0
        return NextSweep(max(retry_ms, first_ms), cause)
    if not record.swept_ms:
        return NextSweep(first_ms, "baseline")
    if record.swept_ms > now_ms + CLOCK_SKEW_MS:
        return NextSweep(first_ms, "interval")
    choices = [NextSweep(record.swept_ms + _varied(slot, record, interval_ms), "interval")]
    if gap_ms > record.swept_ms:
        choices.append(NextSweep(gap_ms + GAP_DELAY_MS, "gap"))
    if record.second_look_ms:
        look_ms = max(record.second_look_ms, record.swept_ms + LOOK_PAUSE_MS)
        choices.append(NextSweep(look_ms, "second-look"))
    soonest = min(choices, key=lambda choice: choice.at_ms)
    return NextSweep(max(soonest.at_ms, first_ms), soonest.cause)


def refused_wait_ms(refusals: int, interval_ms: int) -> int:
    """How long to wait after so many refusals in a row, in milliseconds; at least one."""
    return min(RETRY_MS << min(refusals - 1, 16), max(interval_ms, RETRY_MS))


def _varied(slot: Slot, record: SlotRecord, interval_ms: int) -> int:
    """The interval and up to a tenth more, so that slots and deployments do not all come at the same hour."""
    share = zlib.crc32(f"{slot} {record.swept_ms}".encode()) / 2**32
    return round(interval_ms * (1 + JITTER * share))
