"""The chart of arrivals: what is drawn is what was counted."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener.ops.status_page.chart import (
    HEIGHT,
    LONGEST_BY_ITSELF,
    WIDTH,
    WINDOWS,
    draw_chart,
    fitting_window,
)

NOW = 29_923_000  # a minute since 1970
KINDS = ("a", "b")
MINUTES = LONGEST_BY_ITSELF.minutes
counts = st.dictionaries(
    st.integers(NOW - MINUTES - 5, NOW + 1),
    st.dictionaries(st.sampled_from([*KINDS, "other"]), st.integers(1, 100_000)),
)


@given(counts)
def test_the_bars_are_in_the_frame_and_as_high_as_their_counts(
    found: dict[int, dict[str, int]],
) -> None:
    drawn = draw_chart(found, KINDS, NOW)
    within = [found.get(minute, {}) for minute in range(NOW - MINUTES + 1, NOW + 1)]
    total = sum(each.get(kind, 0) for each in within for kind in KINDS)
    assert drawn.total == total == sum(row.total for row in drawn.rows)
    for bar in drawn.bars:
        assert 0 <= bar.x < bar.x + drawn.bar_width < WIDTH
        assert -0.02 <= bar.y <= bar.y + bar.height <= HEIGHT + 0.02
    top = int(drawn.scale[-1].label.replace(",", ""))
    assert drawn.peak <= top
    assert abs(sum(bar.height for bar in drawn.bars) * top / HEIGHT - total) <= 0.01 * top * (
        len(drawn.bars) + 1
    )


def test_nothing_is_drawn_of_nothing() -> None:
    drawn = draw_chart({}, KINDS, NOW)
    assert (drawn.bars, drawn.rows, drawn.peak, drawn.total) == ([], [], 0, 0)
    assert [mark.label for mark in drawn.scale] == ["0", "1"]


def test_the_full_minute_before_this_one_is_told_and_rows_are_of_ten_minutes() -> None:
    drawn = draw_chart({NOW: {"a": 1}, NOW - 1: {"a": 7, "b": 2}}, KINDS, NOW)
    assert (drawn.last_minute, drawn.peak) == (9, 9)
    assert [row.counts for row in drawn.rows] == [(1, 0), (7, 2)]
    kinds, places = zip(*((bar.kind, bar.x) for bar in drawn.bars), strict=True)
    assert kinds == ("a", "b", "a")
    # Each minute has a column of its own, and the one under way the last.
    assert [round((WIDTH - place) * MINUTES / WIDTH) for place in places] == [2, 2, 1]


@pytest.mark.parametrize("window", WINDOWS, ids=lambda window: window.name)
@given(found=counts)
def test_each_window_counts_what_it_shows_and_nothing_of_the_future(
    window: Any, found: dict[int, dict[str, int]]
) -> None:
    drawn = draw_chart(found, KINDS, NOW, window)
    assert drawn.total == sum(row.total for row in drawn.rows)
    top = int(drawn.scale[-1].label.replace(",", ""))
    assert abs(sum(bar.height for bar in drawn.bars) * top / HEIGHT - drawn.total) <= 0.01 * top * (
        len(drawn.bars) + 1
    )
    assert all(0 <= bar.x < bar.x + drawn.bar_width < WIDTH for bar in drawn.bars)
    assert drawn.ticks


@pytest.mark.parametrize(
    ("first_minutes_ago", "minutes"),
    [(None, 15), (0, 15), (14, 15), (15, 30), (29, 30), (100, 105), (165, 180), (179, 180), (180, 15)],
)  # fmt: skip
def test_the_chart_begins_where_the_arrivals_do(
    first_minutes_ago: int | None, minutes: int
) -> None:
    found = {} if first_minutes_ago is None else {NOW - first_minutes_ago: {"a": 1}}
    window = fitting_window(found, NOW)
    assert window.minutes == minutes
    assert draw_chart(found, KINDS, NOW, window).total == (
        minutes > (first_minutes_ago or 0)
    ) * len(found)
