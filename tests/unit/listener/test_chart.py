"""The chart of arrivals: what is drawn is what was counted."""

from hypothesis import given
from hypothesis import strategies as st

from listener.ops.status_page.chart import (
    BAR_WIDTH,
    COLUMN_WIDTH,
    HEIGHT,
    MINUTES,
    WIDTH,
    draw_chart,
)

NOW = 29_923_000  # a minute since 1970
KINDS = ("a", "b")
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
        assert 0 <= bar.x < bar.x + BAR_WIDTH < WIDTH
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
    assert [round((WIDTH - place) / COLUMN_WIDTH) for place in places] == [2, 2, 1]
