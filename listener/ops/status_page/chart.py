"""Computes the chart of arrivals: how many messages of each kind arrived over a window of time. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from listener.inspection.arrivals import ArrivalCounts

# The width is in percent, so that every minute fits on any screen; the height is in pixels.
WIDTH, HEIGHT = 100, 160
# Of a column's width; the rest is the gap to the next.
BAR_SHARE = 0.75
# The top of the scale is one of these times a power of ten.
ROUND_DIGITS = (1, 2, 5)


@dataclass(frozen=True)
class Window:
    """How much time a chart shows, up to now.

    Attributes:
        name: in the address.
        minutes: its length.
        column: the minutes of a column.
        tick: the minutes between two labels of the time axis.
        row: the minutes of a row of the table.
    """

    name: str
    minutes: int
    column: int = 1
    tick: int = 30
    row: int = 10

    @property
    def text(self) -> str:
        """Its length in words."""
        if self.minutes % 60:
            return f"last {self.minutes} minutes"
        return "last hour" if self.minutes == 60 else f"last {self.minutes // 60} hours"

    @property
    def per(self) -> str:
        """What a column counts."""
        return "a minute" if self.column == 1 else f"in {self.column} minutes"


WINDOWS = (Window("15m", 15, tick=5, row=1), Window("3h", 180), Window("24h", 1440, 10, 180, 60))
WINDOWS_BY_NAME = {window.name: window for window in WINDOWS}
# Where nobody chose: as far back as anything arrived, between the shortest and this one.
LONGEST_BY_ITSELF = WINDOWS_BY_NAME["3h"]


def fitting_window(counts: ArrivalCounts, now_minute: int) -> Window:
    """The window that begins where the arrivals do, in steps of a quarter of an hour."""
    shortest, longest = WINDOWS[0].minutes, LONGEST_BY_ITSELF.minutes
    first = min((minute for minute in counts if now_minute - longest < minute), default=now_minute)
    minutes = -(-(now_minute - first + 1) // shortest) * shortest
    if minutes <= shortest:
        return WINDOWS[0]
    if minutes >= longest:
        return LONGEST_BY_ITSELF
    # On a phone there is room for six labels.
    return Window("", minutes, tick=15 if minutes <= 90 else 30)


@dataclass(frozen=True)
class Bar:
    """One kind in one column: a rectangle in the chart's units."""

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
    """One row of the table: the minutes from `start` on, with the count of each kind."""

    start: str
    counts: tuple[int, ...]
    total: int


@dataclass(frozen=True)
class Chart:
    """What is drawn, and the same in numbers; `last_minute` and `peak` are of single minutes."""

    window: Window
    kinds: tuple[str, ...]
    bar_width: float
    bars: Sequence[Bar]
    scale: Sequence[Mark]
    ticks: Sequence[Mark]
    rows: Sequence[Row]
    total: int
    last_minute: int
    peak: int


def draw_chart(
    counts: ArrivalCounts,
    kinds: Sequence[str],
    now_minute: int,
    window: Window = LONGEST_BY_ITSELF,
) -> Chart:
    """The chart of the minutes up to and including `now_minute` (since 1970).

    Args:
        counts: the arrivals; a minute without any may be missing.
        kinds: which to draw, from the bottom to the top.
        now_minute: the current minute.
        window: how far back.
    """
    # Columns begin at round times, so that they do not change while time goes on.
    last_column = now_minute // window.column
    columns = range(last_column - window.minutes // window.column + 1, last_column + 1)
    minutes = range(columns[0] * window.column, now_minute + 1)
    totals = [_sum(counts, kinds, [minute]) for minute in minutes]
    stacks = [
        _counted(counts, kinds, _minutes_of(column, window, now_minute)) for column in columns
    ]
    width = WIDTH / len(columns)
    top = _round_up(max(1, *(sum(stack.values()) for stack in stacks)))
    return Chart(
        window=window,
        kinds=tuple(kinds),
        bar_width=round(width * BAR_SHARE, 3),
        bars=[
            bar
            for place, stack in enumerate(stacks)
            for bar in _stack(stack, kinds, round(place * width, 3), HEIGHT / top)
        ],
        scale=_scale(top),
        ticks=[
            Mark(round(place * width, 3), _clock(column * window.column))
            for place, column in enumerate(columns)
            if column * window.column % window.tick == 0
        ],
        rows=_rows(counts, kinds, minutes, window.row),
        total=sum(totals),
        # The last full minute: the current one has only begun.
        last_minute=totals[-2],
        peak=max(totals),
    )


def _minutes_of(column: int, window: Window, now_minute: int) -> range:
    """The minutes of a column; of the last one those that have begun."""
    start = column * window.column
    return range(start, min(start + window.column, now_minute + 1))


def _counted(counts: ArrivalCounts, kinds: Sequence[str], minutes: range) -> dict[str, int]:
    """The arrivals of each kind in some minutes."""
    return {kind: _sum(counts, [kind], minutes) for kind in kinds}


def _sum(counts: ArrivalCounts, kinds: Sequence[str], minutes: Iterable[int]) -> int:
    return sum(
        counts[minute].get(kind, 0) for minute in minutes if minute in counts for kind in kinds
    )


def _stack(
    counts: Mapping[str, int], kinds: Sequence[str], x: float, message_height: float
) -> list[Bar]:
    """The bars of one column, one on top of the other."""
    bars, total = [], 0
    for kind in kinds:
        if count := counts.get(kind, 0):
            total += count
            y, height = HEIGHT - total * message_height, count * message_height
            bars.append(Bar(kind, x, round(y, 2), round(height, 2)))
    return bars


def _scale(top: int) -> list[Mark]:
    half = [Mark(HEIGHT / 2, f"{top // 2:,}")] if top % 2 == 0 else []
    return [Mark(HEIGHT, "0"), *half, Mark(0, f"{top:,}")]


def _rows(
    counts: ArrivalCounts, kinds: Sequence[str], minutes: range, row_minutes: int
) -> list[Row]:
    """The rows that count anything, the newest first.

    Rows begin at round times, so the first and the last may have fewer minutes than the others.
    """
    rows = []
    first, last = minutes[0] // row_minutes, minutes[-1] // row_minutes
    for number in range(last, first - 1, -1):
        start = number * row_minutes
        within = range(max(start, minutes[0]), min(start + row_minutes, minutes[-1] + 1))
        totals = tuple(_counted(counts, kinds, within).values())
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
