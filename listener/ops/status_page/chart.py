"""Computes the chart of arrivals: how many messages of each kind arrived per minute, over the last hours. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from listener.inspection.arrivals import ArrivalCounts

HOURS = 3
MINUTES = 60 * HOURS
# The width is in percent, so that every minute fits on any screen; the height is in pixels.
WIDTH, HEIGHT = 100, 160
COLUMN_WIDTH = WIDTH / MINUTES
BAR_WIDTH = round(COLUMN_WIDTH * 0.75, 3)
TICK_MINUTES = 30
ROW_MINUTES = 10
# The top of the scale is one of these times a power of ten.
ROUND_DIGITS = (1, 2, 5)


@dataclass(frozen=True)
class Bar:
    """One kind in one minute: a rectangle in the chart's units, `BAR_WIDTH` wide."""

    kind: str
    x: float
    y: float
    height: float


@dataclass(frozen=True)
class Mark:
    """A line of the scale, or a tick of the time axis: its coordinate and its label."""

    at: float
    label: str


@dataclass(frozen=True)
class Row:
    """One row of the table: ten minutes from `start`, with the count of each kind."""

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


def draw_chart(counts: ArrivalCounts, kinds: Sequence[str], now_minute: int) -> Chart:
    """The chart of the minutes up to and including `now_minute` (since 1970).

    Args:
        counts: the arrivals; a minute without any may be missing.
        kinds: which to draw, from the bottom to the top.
        now_minute: the current minute.
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
            for column, minute in enumerate(minutes)
            for bar in _stack(counts.get(minute, {}), kinds, _x(column), HEIGHT / top)
        ],
        scale=_scale(top),
        ticks=[
            Mark(_x(column), _clock(minute))
            for column, minute in enumerate(minutes)
            if minute % TICK_MINUTES == 0
        ],
        rows=_rows(counts, kinds, minutes),
        total=sum(totals.values()),
        # The last full minute: the current one has only begun.
        last_minute=totals[now_minute - 1],
        peak=peak,
    )


def _stack(
    counts: Mapping[str, int], kinds: Sequence[str], x: float, message_height: float
) -> list[Bar]:
    """The bars of one minute, one on top of the other."""
    bars, total = [], 0
    for kind in kinds:
        if count := counts.get(kind, 0):
            total += count
            y, height = HEIGHT - total * message_height, count * message_height
            bars.append(Bar(kind, x, round(y, 2), round(height, 2)))
    return bars


def _x(column: int) -> float:
    return round(column * COLUMN_WIDTH, 3)


def _scale(top: int) -> list[Mark]:
    half = [Mark(HEIGHT / 2, f"{top // 2:,}")] if top % 2 == 0 else []
    return [Mark(HEIGHT, "0"), *half, Mark(0, f"{top:,}")]


def _rows(counts: ArrivalCounts, kinds: Sequence[str], minutes: range) -> list[Row]:
    """The rows that count anything, the newest first.

    Rows begin at round times, so the first and the last may have fewer than ten minutes.
    """
    rows = []
    first, last = minutes[0] // ROW_MINUTES, minutes[-1] // ROW_MINUTES
    for number in range(last, first - 1, -1):
        start = number * ROW_MINUTES
        row_minutes = [minute for minute in range(start, start + ROW_MINUTES) if minute in minutes]
        totals = tuple(
            sum(counts.get(minute, {}).get(kind, 0) for minute in row_minutes) for kind in kinds
        )
        if any(totals):
            rows.append(Row(_clock(start), totals, sum(totals)))
    return rows


def _round_up(number: int) -> int:
    power = 1
    while True:
        for digit in ROUND_DIGITS:
            if number <= digit * power:
                return digit * power
        power *= 10


def _clock(minute: int) -> str:
    return datetime.fromtimestamp(minute * 60, UTC).strftime("%H:%M")
