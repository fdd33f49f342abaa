"""Which part of the stream is looked through for messages that waited in the spool."""

from datetime import UTC, datetime, timedelta

from listener.queue.earlier import AFTER, BEFORE, spans

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_nothing_is_looked_through_for_nothing() -> None:
    assert spans([]) == []


def test_neighbours_share_a_span_and_no_entry_is_read_twice() -> None:
    far = 3 + (AFTER + BEFORE).total_seconds() + 1
    assert spans([after(far), after(3), NOW]) == [
        (NOW - BEFORE, after(3) + AFTER),
        (after(far) - BEFORE, after(far) + AFTER),
    ]
