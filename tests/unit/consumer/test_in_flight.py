"""Messages in flight: which may be handled next, and how many may be read."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener.consumer.deliveries.delivery import DeadReason, Delivery
from listener.consumer.deliveries.in_flight import POLL_S, InFlight
from listener.consumer.options import MAX_BATCHES_IN_FLIGHT
from testbed.polling import wait_until


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
        "recorded_deliveries": 1,
        "is_next_recorded": True,
        "confirmed_at": 0.0,
        **changed,
    }
    return Delivery(**values)


def empty(batch: int = 10, *, ordered: bool = False, clock: Clock | None = None) -> InFlight:
    return InFlight(batch=batch, ordered=ordered, clock=clock or Clock())


def taken(in_flight: InFlight, count: int) -> list[int]:
    found = [in_flight.take() for _ in range(count)]
    return [int(it.entry_id) for it in found if it]


def test_deliveries_in_flight_are_taken_in_order_and_not_twice() -> None:
    in_flight = empty()
    assert in_flight.add([delivery(1), delivery(2)]) == 2
    assert in_flight.add([delivery(2), delivery(3)]) == 1
    assert taken(in_flight, 3) == [1, 2, 3]
    assert len(in_flight.keys()) == 3


def test_room_is_what_a_batch_lacks() -> None:
    in_flight = empty(10)
    assert in_flight.room([0]) == 10
    items = [delivery(n) for n in range(5)]
    in_flight.add(items)
    assert in_flight.room([0]) == 5
    in_flight.remove(items[:3])
    assert in_flight.room([0]) == 8
    assert in_flight.room([1]) == 10, "another partition has its own"


def test_small_reads_are_made_only_for_workers_without_work(monkeypatch: Any) -> None:
    monkeypatch.setattr("listener.consumer.deliveries.in_flight.POLL_S", 0)
    in_flight = empty(10)
    in_flight.add([delivery(n) for n in range(8)])
    assert taken(in_flight, 8) == list(range(8))
    assert in_flight.room([0]) == 2


def test_a_batch_of_one_is_read_one_by_one_and_waited_for(monkeypatch: Any) -> None:
    in_flight = empty(1)
    waits: list[float] = []
    monkeypatch.setattr(in_flight._room_available, "wait", waits.append)
    assert in_flight.room([0]) == 1
    item = delivery(1)
    in_flight.add([item])
    assert (in_flight.room([0]), len(waits)) == (0, 1)
    in_flight.remove([item])
    assert in_flight.room([0]) == 1


@pytest.mark.parametrize(
    ("batch", "ready", "at_work", "waits"),
    [
        (10, 5, 0, False),
        (10, 6, 0, True),
        (10, 0, 6, False),
        (10, 0, 9, False),
        (10, 0, 10, True),
        (10, 0, 12, True),
        (10, 10, 0, True),
    ],
)
def test_reader_waits_if_there_is_no_room_or_little_and_the_workers_have_work(
    batch: int, ready: int, at_work: int, waits: bool, monkeypatch: Any
) -> None:
    in_flight = empty(batch)
    in_flight.add([delivery(n) for n in range(at_work)])
    taken(in_flight, at_work)
    in_flight.add([delivery(n) for n in range(at_work, at_work + ready)])
    timeouts: list[float] = []
    monkeypatch.setattr(in_flight._room_available, "wait", timeouts.append)
    assert in_flight.room([0]) == max(batch - ready - at_work, 0)
    assert timeouts == [POLL_S] * waits


def test_reader_of_single_messages_waits_for_no_other_partition(monkeypatch: Any) -> None:
    in_flight = empty(1)
    in_flight.add([delivery(1, partition=1)])
    monkeypatch.setattr(in_flight._room_available, "wait", None)
    assert in_flight.room([0]) == 1


class Waiting:
    """A call that waits in a thread of its own, for an hour at most."""

    def __init__(self, call: Callable[[], Any], condition: threading.Condition) -> None:
        self._result: Future[Any] = Future()
        self._thread = threading.Thread(target=lambda: self._result.set_result(call()), daemon=True)
        self._thread.start()
        waiters: deque[Any] = condition._waiters  # type: ignore[attr-defined]
        wait_until(lambda: bool(waiters))

    def result(self) -> Any:
        result = self._result.result(10)
        self._thread.join()
        return result


@pytest.fixture
def hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has those wait an hour that would wait briefly: only a notification wakes them."""
    monkeypatch.setattr("listener.consumer.deliveries.in_flight.POLL_S", 3600)


def test_as_many_deliveries_as_concurrency_are_handed_out_until_each_has_ended() -> None:
    in_flight = InFlight(batch=100, ordered=False, concurrency=3)
    in_flight.add([delivery(number) for number in range(20)])
    ends: list[Callable[[Delivery], None]] = [
        in_flight.finish,
        lambda it: in_flight.retry(it, 5),
        lambda it: in_flight.remove([it]),
    ]
    handed_out = [in_flight.take() for _ in ends]
    waiting = [Waiting(in_flight.take, in_flight._slot_available) for _ in ends]
    wait_until(lambda: len(in_flight._slot_available._waiters) == 3)  # type: ignore[attr-defined]
    for item, end in zip(handed_out, ends, strict=True):
        assert item
        end(item)
    # Every thread that waited has one now, not the first alone.
    assert {it.result().entry_id for it in waiting} == {b"3", b"4", b"5"}
    last = Waiting(in_flight.take, in_flight._slot_available)
    in_flight.close()
    assert last.result() is None


def test_what_is_given_up_is_handed_out_next_and_frees_its_slot() -> None:
    in_flight = InFlight(batch=100, ordered=False, concurrency=1)
    in_flight.add([delivery(1), delivery(2)])
    given_up = in_flight.take()
    assert given_up
    waiting = Waiting(in_flight.take, in_flight._slot_available)
    in_flight.give_up(given_up)
    assert waiting.result() is given_up
    in_flight.remove([given_up])
    second = in_flight.take()
    assert second
    assert second.entry_id == b"2"


def test_reader_that_waits_gets_the_room_that_is_made_meanwhile(hour: None) -> None:
    in_flight = empty(2)
    items = [delivery(1), delivery(2)]
    in_flight.add(items)
    reader = Waiting(lambda: in_flight.room([0]), in_flight._room_available)
    in_flight.remove(items)
    assert reader.result() == 2


def test_reader_that_waits_gets_the_room_that_a_retry_makes(hour: None) -> None:
    in_flight = empty(1)
    in_flight.add([delivery(1)])
    item = in_flight.take()
    assert item
    reader = Waiting(lambda: in_flight.room([0]), in_flight._room_available)
    in_flight.retry(item, 5)
    assert reader.result() == 1


def test_worker_that_waits_gets_what_is_added(hour: None) -> None:
    in_flight = empty()
    worker = Waiting(in_flight.take, in_flight._work_available)
    item = delivery(1)
    in_flight.add([item])
    assert worker.result() is item


def test_worker_that_waits_gets_a_retry_when_it_is_due() -> None:
    in_flight = InFlight(batch=10, ordered=False)
    item = delivery(1)
    in_flight.add([item])
    in_flight.take()
    worker = Waiting(in_flight.take, in_flight._work_available)
    in_flight.retry(item, 0.01)
    assert worker.result() is item


def test_worker_waits_until_the_earliest_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    clock.now = 100
    in_flight = empty(clock=clock)
    in_flight.add([delivery(1), delivery(2)])
    for delay_s in (5, 2):
        item = in_flight.take()
        assert item
        in_flight.retry(item, delay_s)
    waits: list[float] = []

    def wait(timeout: float) -> None:
        waits.append(timeout)
        clock.now += timeout

    monkeypatch.setattr(in_flight._work_available, "wait", wait)
    assert taken(in_flight, 2) == [2, 1]
    assert waits == [2, 3]


def test_worker_that_waits_gets_the_next_suspect_once_the_first_is_removed() -> None:
    in_flight = empty()
    suspects = [delivery(n, is_crash_suspect=True) for n in range(2)]
    in_flight.add(suspects)
    in_flight.take()
    worker = Waiting(in_flight.take, in_flight._work_available)
    in_flight.remove(suspects[:1])
    assert worker.result() is suspects[1]


def test_acknowledger_that_waits_gets_what_is_finished(hour: None) -> None:
    in_flight = empty()
    item = delivery(1)
    in_flight.add([item])
    acknowledger = Waiting(in_flight.take_finished, in_flight._finished_available)
    in_flight.finish(item)
    assert acknowledger.result() == [item]
    assert item.is_done
    in_flight.close()
    assert in_flight.take_finished() == []


def test_closing_wakes_everybody_who_waits(hour: None) -> None:
    in_flight = empty(1)
    in_flight.add([delivery(1)])
    in_flight.take()
    waiting = [
        Waiting(in_flight.take, in_flight._work_available),
        Waiting(lambda: in_flight.room([0]), in_flight._room_available),
        Waiting(in_flight.take_finished, in_flight._finished_available),
    ]
    in_flight.close()
    assert [it.result() for it in waiting] == [None, 0, []]


def test_messages_removed_twice_are_counted_once() -> None:
    in_flight = empty()
    items = [delivery(1), delivery(2)]
    in_flight.add(items)
    in_flight.remove([items[0], items[0], delivery(7), items[1]])
    assert in_flight.room([0]) == 10
    assert in_flight.keys() == set()


def test_nothing_may_be_claimed_beside_more_than_two_batches() -> None:
    in_flight = empty(1)
    in_flight.add([delivery(n) for n in range(4)])
    assert in_flight.claim_limit(0) == 0


def test_next_delivery_is_counted_by_redis_already_or_not_yet() -> None:
    assert delivery(1, recorded_deliveries=3, is_next_recorded=True).next_delivery == 3
    assert delivery(1, recorded_deliveries=3, is_next_recorded=False).next_delivery == 4


def test_delivery_that_just_came_is_neither_lost_nor_done_nor_given_up() -> None:
    fresh = delivery(1)
    assert not any((fresh.is_crash_suspect, fresh.is_lost, fresh.is_done, fresh.dead_reason))
    reason = DeadReason(reason="given-up", error="ValueError: x")
    assert (reason.reason, reason.error, reason.traceback) == ("given-up", "ValueError: x", "")


def test_snapshot_has_all_deliveries_in_the_order_they_came() -> None:
    in_flight = empty()
    items = [delivery(3), delivery(1, partition=2), delivery(2)]
    in_flight.add(items)
    taken(in_flight, 1)
    assert in_flight.snapshot() == items


def test_delayed_messages_leave_room_up_to_a_bound() -> None:
    in_flight = empty(10)
    for number in range(MAX_BATCHES_IN_FLIGHT * 10 - 4):
        in_flight.add([delivery(number)])
        item = in_flight.take()
        assert item
        in_flight.retry(item, 5)
    assert in_flight.room([0]) == 4, "not a whole batch: so many are held at most"


def test_a_retry_comes_when_it_is_due_and_newer_ones_before_it() -> None:
    clock = Clock()
    in_flight = empty(clock=clock)
    in_flight.add([delivery(1), delivery(2), delivery(3)])
    first = in_flight.take()
    assert first
    in_flight.retry(first, 5)
    assert taken(in_flight, 1) == [2]
    clock.now = 5
    assert taken(in_flight, 2) == [3, 1]


def test_an_ordered_subject_waits_until_its_earlier_message_is_removed() -> None:
    clock = Clock()
    in_flight = empty(ordered=True, clock=clock)
    items = [delivery(n, subject=s) for n, s in enumerate(["a", "a", "b", "", "", "a"])]
    in_flight.add(items)
    assert taken(in_flight, 4) == [0, 2, 3, 4]
    in_flight.retry(items[0], 5)
    in_flight.finish(items[2])
    in_flight.remove([items[2]])
    clock.now = 5
    assert taken(in_flight, 1) == [0]
    in_flight.remove([items[0]])
    assert taken(in_flight, 1) == [1]
    in_flight.remove([items[1]])
    assert taken(in_flight, 1) == [5]
    in_flight.remove([items[5]])
    in_flight.add([delivery(6, subject="a")])
    assert taken(in_flight, 1) == [6]


def test_one_crash_suspect_at_a_time_is_taken_until_it_is_removed() -> None:
    in_flight = empty()
    suspects = [delivery(n, is_crash_suspect=True) for n in range(3)]
    in_flight.add([*suspects, delivery(10), delivery(11)])
    assert taken(in_flight, 3) == [0, 10, 11]
    in_flight.finish(suspects[0])
    assert in_flight.take_finished() == suspects[:1]
    in_flight.add([delivery(12)])
    assert taken(in_flight, 1) == [12], "finished, and not yet acknowledged"
    in_flight.remove(suspects[:1])
    assert taken(in_flight, 1) == [1]
    in_flight.retry(suspects[1], 5)
    assert taken(in_flight, 1) == [2]


def test_crash_suspects_leave_room_for_new_messages() -> None:
    in_flight = empty(10)
    in_flight.add([delivery(n, is_crash_suspect=True) for n in range(10)])
    assert in_flight.room([0]) == 10
    assert in_flight.claim_limit(0) == 10
    in_flight.add([delivery(n) for n in range(10, 20)])
    assert in_flight.claim_limit(0) == 0


def test_it_is_busy_while_something_can_be_done_at_once() -> None:
    in_flight = empty(ordered=True)
    assert not in_flight.is_busy
    items = [delivery(1, subject="a"), delivery(2, subject="a")]
    in_flight.add(items)
    assert in_flight.is_busy
    item = in_flight.take()
    assert item
    in_flight.retry(item, 5)
    assert not in_flight.is_busy, "one waits, the other is held back behind it"


@pytest.mark.parametrize("ordered", [False, True])
@given(data=st.data())
def test_whatever_happens_nothing_is_lost_and_subjects_stay_in_order(
    ordered: bool, data: st.DataObject
) -> None:
    clock = Clock()
    in_flight = empty(5, ordered=ordered, clock=clock)
    total = data.draw(st.integers(1, 25))
    subjects = {}
    for number in range(total):
        subject = data.draw(st.sampled_from(["", "a", "b"]))
        subjects[number] = subject
        in_flight.add(
            [delivery(number, subject=subject, is_crash_suspect=data.draw(st.booleans()))]
        )
    done: list[int] = []
    at_work: list[Delivery] = []
    while in_flight.keys():
        can_take = bool(
            in_flight._ready or (in_flight._crash_suspects and not in_flight._active_suspect)
        )
        if can_take and (not at_work or data.draw(st.booleans())):
            item = in_flight.take()
            assert item
            at_work.append(item)
        elif at_work:
            item = at_work.pop(data.draw(st.integers(0, len(at_work) - 1)))
            if data.draw(st.booleans()):
                in_flight.retry(item, data.draw(st.integers(0, 3)))
            else:
                in_flight.finish(item)
                in_flight.remove(in_flight.take_finished())
                done.append(int(item.entry_id))
        else:
            clock.now += 3
            with in_flight._lock:
                in_flight._release_delayed()
    assert sorted(done) == list(range(total))
    assert in_flight._counts.total() == in_flight._not_ready.total() == 0
    if ordered:
        for subject in ("a", "b"):
            # Suspects are handled before others, each subject in itself in order.
            of_one = [number for number in done if subjects[number] == subject]
            assert of_one == sorted(of_one)
