"""The chart of arrivals: how many messages of each kind a minute, over the last hours. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from listener.inspection.arrivals import ArrivalCounts

HOURS = 3
MINUTES = 60 * HOURS
# Across in percent, so that it fits every screen with all of its minutes; down in pixels.
WIDTH, HEIGHT = 100, 160
COLUMN = WIDTH / MINUTES
BAR = round(COLUMN * 0.75, 3)
TICK_MINUTES = 30
ROW_MINUTES = 10
# Round numbers for the top of the scale.
STEPS = (1, 2, 5)


@dataclass(frozen=True)
class Bar:
    """One kind in one minute: a rectangle, in the chart's units, as wide as `BAR`."""

    kind: str
    x: float
    y: float
    height: float


@dataclass(frozen=True)
class Mark:
    """A line of the scale, or a tick of the time axis: where, and what is written there."""

    at: float
    label: str


@dataclass(frozen=True)
class Row:
    """One row of the table: ten minutes, from `start`, and the count of each kind."""

    start: str
    counts: tuple[int, ...]
    total: int


@dataclass(frozen=True)
class Chart:
    """What is drawn, and the same in numbers."""

    kinds: tuple[str, ...]
    bars: Sequence[Bar]
    scale: Sequence[Mark]
    ticks: Sequence[Mark]
    rows: Sequence[Row]
    total: int
    last_minute: int
    peak: int


def chart(counts: ArrivalCounts, kinds: Sequence[str], now_minute: int) -> Chart:
    """The chart of the minutes up to and including `now_minute` (since 1970).

    Args:
        counts: what arrived; minutes without anything may be missing.
        kinds: which to draw, from the bottom to the top.
        now_minute: the minute that is under way.
    """
    minutes = range(now_minute - MINUTES + 1, now_minute + 1)
    totals = {
        minute: sum(counts.get(minute, {}).get(kind, 0) for kind in kinds) for minute in minutes
    }
    peak = max(totals.values())
    top = _round_up(max(peak, 1))
    return Chart(
        kinds=tuple(kinds),
        bars=[
            bar
            for place, minute in enumerate(minutes)
            for bar in _stack(counts.get(minute, {}), kinds, _across(place), HEIGHT / top)
        ],
        scale=[Mark(HEIGHT, "0"), *_upper(top)],
        ticks=[
            Mark(_across(place), _clock(minute))
            for place, minute in enumerate(minutes)
            if minute % TICK_MINUTES == 0
        ],
        rows=_rows(counts, kinds, minutes),
        total=sum(totals.values()),
        # The one under way has only begun.
        last_minute=totals[now_minute - 1],
        peak=peak,
    )


def _stack(here: Mapping[str, int], kinds: Sequence[str], x: float, unit: float) -> list[Bar]:
    bars, below = [], 0
    for kind in kinds:
        if count := here.get(kind, 0):
            below += count
            bars.append(Bar(kind, x, round(HEIGHT - below * unit, 2), round(count * unit, 2)))
    return bars


def _across(place: int) -> float:
    return round(place * COLUMN, 3)


def _upper(top: int) -> list[Mark]:
    half = [Mark(HEIGHT / 2, f"{top // 2:,}")] if top % 2 == 0 else []
    return [*half, Mark(0, f"{top:,}")]


def _rows(counts: ArrivalCounts, kinds: Sequence[str], minutes: range) -> list[Row]:
    rows = []
    # Rows begin at round times, the newest first; the first and the last may be cut short.
    first, last = minutes[0] // ROW_MINUTES, minutes[-1] // ROW_MINUTES
    for number in range(last, first - 1, -1):
        within = [
            m for m in range(number * ROW_MINUTES, (number + 1) * ROW_MINUTES) if m in minutes
        ]
        each = tuple(sum(counts.get(m, {}).get(kind, 0) for m in within) for kind in kinds)
        if any(each):
            rows.append(Row(_clock(number * ROW_MINUTES), each, sum(each)))
    return rows


def _round_up(number: int) -> int:
    power = 1
    while True:
        for step in STEPS:
            if number <= step * power:
                return step * power
        power *= 10


def _clock(minute: int) -> str:
    return datetime.fromtimestamp(minute * 60, UTC).strftime("%H:%M")
