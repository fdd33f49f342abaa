"""The desk: who may take what next, and how much may be read."""

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener.consumer.delivery import Delivery
from listener.consumer.desk import Desk
from listener.consumer.options import HELD_BATCHES


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def delivery(number: int, *, subject: str = "", **changed: Any) -> Delivery:
    values: dict[str, Any] = {
        "partition": 0,
        "entry_id": str(number).encode(),
        "fields": {b"subject": subject.encode()} if subject else {},
        "recorded": 1,
        "is_next_recorded": True,
        "held_at": 0.0,
        **changed,
    }
    return Delivery(**values)


def desk(batch: int = 10, *, ordered: bool = False, clock: Clock | None = None) -> Desk:
    return Desk(batch=batch, ordered=ordered, clock=clock or Clock())


def taken(on: Desk, count: int) -> list[int]:
    found = [on.take() for _ in range(count)]
    return [int(it.entry_id) for it in found if it]


def test_what_is_in_hand_is_taken_in_order_and_not_twice() -> None:
    on = desk()
    assert on.put([delivery(1), delivery(2)]) == 2
    assert on.put([delivery(2), delivery(3)]) == 1
    assert taken(on, 3) == [1, 2, 3]
    assert len(on) == 3


def test_there_is_room_for_what_is_missing_of_a_batch() -> None:
    on = desk(10)
    assert on.room([0]) == 10
    items = [delivery(n) for n in range(5)]
    on.put(items)
    assert on.room([0]) == 5
    on.clear(items[:3])
    assert on.room([0]) == 8
    assert on.room([1]) == 10, "another partition has its own"


def test_small_reads_are_made_only_for_workers_without_work(monkeypatch: Any) -> None:
    monkeypatch.setattr("listener.consumer.desk.GLANCE_S", 0)
    on = desk(10)
    on.put([delivery(n) for n in range(8)])
    assert taken(on, 8) == list(range(8))
    assert on.room([0]) == 2


def test_a_batch_of_one_is_read_one_by_one_and_waited_for(monkeypatch: Any) -> None:
    on = desk(1)
    waits: list[float] = []
    monkeypatch.setattr(on._room, "wait", waits.append)
    assert on.room([0]) == 1
    item = delivery(1)
    on.put([item])
    assert (on.room([0]), len(waits)) == (0, 1)
    on.clear([item])
    assert on.room([0]) == 1


def test_what_waits_for_its_retry_makes_room_but_not_without_end() -> None:
    on = desk(10)
    for number in range(HELD_BATCHES * 10 - 4):
        on.put([delivery(number)])
        item = on.take()
        assert item
        on.retry(item, 5)
    assert on.room([0]) == 4, "not a whole batch: so many are held at most"


def test_a_retry_comes_when_it_is_due_and_newer_ones_before_it() -> None:
    clock = Clock()
    on = desk(clock=clock)
    on.put([delivery(1), delivery(2), delivery(3)])
    first = on.take()
    assert first
    on.retry(first, 5)
    assert taken(on, 1) == [2]
    clock.now = 5
    assert taken(on, 2) == [3, 1]


def test_in_order_a_subject_waits_until_the_one_before_is_cleared() -> None:
    clock = Clock()
    on = desk(ordered=True, clock=clock)
    items = [delivery(n, subject=s) for n, s in enumerate(["a", "a", "b", "", "", "a"])]
    on.put(items)
    assert taken(on, 4) == [0, 2, 3, 4]
    on.retry(items[0], 5)
    on.finish(items[2])
    on.clear([items[2]])
    clock.now = 5
    assert taken(on, 1) == [0]
    on.clear([items[0]])
    assert taken(on, 1) == [1]
    on.clear([items[1]])
    assert taken(on, 1) == [5]
    on.clear([items[5]])
    on.put([delivery(6, subject="a")])
    assert taken(on, 1) == [6]


def test_one_suspect_at_a_time_is_at_work_until_it_is_cleared() -> None:
    on = desk()
    suspects = [delivery(n, is_suspect=True) for n in range(3)]
    on.put([*suspects, delivery(10), delivery(11)])
    assert taken(on, 3) == [0, 10, 11]
    on.finish(suspects[0])
    assert on.finished() == suspects[:1]
    on.put([delivery(12)])
    assert taken(on, 1) == [12], "finished, and not yet acknowledged"
    on.clear(suspects[:1])
    assert taken(on, 1) == [1]
    on.retry(suspects[1], 5)
    assert taken(on, 1) == [2]


def test_suspects_leave_room_for_what_is_new() -> None:
    on = desk(10)
    on.put([delivery(n, is_suspect=True) for n in range(10)])
    assert on.room([0]) == 10
    assert on.allowance(0) == 10
    on.put([delivery(n) for n in range(10, 20)])
    assert on.allowance(0) == 0


def test_it_is_busy_while_something_can_be_done_at_once() -> None:
    on = desk(ordered=True)
    assert not on.is_busy
    items = [delivery(1, subject="a"), delivery(2, subject="a")]
    on.put(items)
    assert on.is_busy
    item = on.take()
    assert item
    on.retry(item, 5)
    assert not on.is_busy, "one waits, the other is held back behind it"


def test_closing_wakes_who_waits() -> None:
    on = desk()
    results: list[Delivery | None] = []
    thread = threading.Thread(target=lambda: results.append(on.take()))
    thread.start()
    on.close()
    thread.join(10)
    assert results == [None]


@pytest.mark.parametrize("ordered", [False, True])
@given(data=st.data())
def test_whatever_happens_nothing_is_lost_and_subjects_stay_in_order(
    ordered: bool, data: st.DataObject
) -> None:
    clock = Clock()
    on = desk(5, ordered=ordered, clock=clock)
    total = data.draw(st.integers(1, 25))
    subjects = {}
    for number in range(total):
        subject = data.draw(st.sampled_from(["", "a", "b"]))
        subjects[number] = subject
        on.put([delivery(number, subject=subject, is_suspect=data.draw(st.booleans()))])
    done: list[int] = []
    at_work: list[Delivery] = []
    while len(on):
        can_take = bool(on._ready or (on._suspects and not on._suspect_at_work))
        if can_take and (not at_work or data.draw(st.booleans())):
            item = on.take()
            assert item
            at_work.append(item)
        elif at_work:
            item = at_work.pop(data.draw(st.integers(0, len(at_work) - 1)))
            if data.draw(st.booleans()):
                on.retry(item, data.draw(st.integers(0, 3)))
            else:
                on.finish(item)
                on.clear(on.finished())
                done.append(int(item.entry_id))
        else:
            clock.now += 3
            with on._lock:
                on._wake()
    assert sorted(done) == list(range(total))
    assert on._in_hand.total() == on._parked.total() == 0
    if ordered:
        for subject in ("a", "b"):
            # Suspects are handled before others, each subject in itself in order.
            of_one = [number for number in done if subjects[number] == subject]
            assert of_one == sorted(of_one)
