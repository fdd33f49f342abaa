"""A partition that fails is left alone for a while, so that the others get the threads' time."""

from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import pytest
import redis
from structlog.testing import capture_logs

from listener.consumer.acknowledger import Acknowledger
from listener.consumer.claims import NOTHING, Claimed
from listener.consumer.deliveries.delivery import DeadReason, Delivery
from listener.consumer.deliveries.in_flight import InFlight
from listener.consumer.deliveries.worker import DeliveryWorker
from listener.consumer.handlers.overdue import Overdue, RunningHandlers
from listener.consumer.handlers.registry import Handlers
from listener.consumer.maintenance import Maintenance
from listener.consumer.options import Observer, Options
from listener.consumer.outages import (
    BACKOFF_S,
    MAX_BACKOFF_S,
    AdaptiveSize,
    BackingOffError,
    Outages,
)
from listener.consumer.run_context import RunContext
from listener.consumer.threads import ConsumerThreads


class Clock:
    """Stands still but when it is told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Silent:
    """A group in a partition whose server does not answer: each command takes its whole limit."""

    stream = "silent"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.asked = 0

    def dead_letter(self, *_: Any) -> int:
        return self._time_out()

    def acknowledge(self, *_: Any) -> int:
        return self._time_out()

    def hand_back(self, *_: Any) -> int:
        return self._time_out()

    def _time_out(self) -> int:
        self.asked += 1
        self._clock.now += 5
        raise redis.TimeoutError


class Answering:
    """A group in a partition that works."""

    stream = "answering"
    partition = 1

    def __init__(self) -> None:
        self.done: list[bytes] = []

    def dead_letter(self, delivery: Delivery, _: DeadReason) -> int:
        self.done.append(delivery.entry_id)
        return 1

    def acknowledge(self, ids: list[bytes]) -> None:
        self.done += ids

    def hand_back(self, deliveries: list[Delivery], _overdue: object) -> None:
        self.done += [it.entry_id for it in deliveries]

    def renew(self, deliveries: list[Delivery]) -> list[Delivery]:
        self.done.append(b"renewed")
        return deliveries

    def delete_unused_consumers(self) -> list[str]:
        return []

    def delete_consumer(self) -> None:
        self.done.append(b"left")


class NothingToClaim:
    """The claims of a partition where nothing was left by others."""

    partition = 1

    def exclusive(self) -> AbstractContextManager[None]:
        return nullcontext()

    def claim_stuck(self, limit: int) -> list[Claimed]:
        return []

    def claim_idle(self, *_: Any) -> Claimed:
        return NOTHING


def delivery(partition: int, number: int) -> Delivery:
    return Delivery(
        partition=partition,
        entry_id=b"%d-0" % number,
        fields={},
        recorded_deliveries=1,
        is_next_recorded=True,
        confirmed_at=0.0,
        dead_reason=DeadReason(reason="crashed", error=""),
    )


def attempt(outages: Outages, clock: Clock, *, takes_s: float, fails: bool = False) -> None:
    with outages.attempt("deliver", 0):
        clock.now += takes_s
        if fails:
            raise redis.ConnectionError


@pytest.mark.parametrize(
    ("takes_s", "backoff_s"), [(0, BACKOFF_S), (0.5, 2), (5, 20), (3600, MAX_BACKOFF_S)]
)
def test_the_longer_a_failure_took_the_longer_it_is_not_tried_again(
    takes_s: float, backoff_s: float
) -> None:
    outages = Outages(clock := Clock())
    with pytest.raises(redis.ConnectionError):
        attempt(outages, clock, takes_s=takes_s, fails=True)
    with pytest.raises(BackingOffError) as backing_off:
        attempt(outages, clock, takes_s=0)
    assert backing_off.value.left_s == pytest.approx(backoff_s)
    with outages.attempt("deliver", 1), outages.attempt("renew", 0):
        """Other partitions and other activities are not meant."""
    clock.now += backoff_s
    attempt(outages, clock, takes_s=1)
    attempt(outages, clock, takes_s=1)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def run(clock: Clock) -> RunContext:
    groups: Any = {0: Silent(clock), 1: Answering()}
    none: Any = None
    no_claims: Any = {1: NothingToClaim()}
    return RunContext(
        client=none,
        read_client=none,
        group="g",
        consumer="me",
        groups=groups,
        claims=no_claims,
        in_flight=InFlight(batch=50, ordered=False, clock=clock),
        handlers=Handlers(),
        read_size=AdaptiveSize(100),
        options=Options(),
        observer=Observer(),
        outages=Outages(clock),
    )


def test_a_partition_that_hangs_takes_a_worker_from_the_others_once_in_a_while(
    run: RunContext, clock: Clock
) -> None:
    run.in_flight.add([delivery(0, number) for number in range(20)])
    run.in_flight.add([delivery(1, number) for number in range(20)])
    worker = DeliveryWorker(run)
    for _ in range(40):
        worker.step()
    silent, answering = run.groups[0], run.groups[1]
    assert isinstance(silent, Silent)
    assert isinstance(answering, Answering)
    assert silent.asked == 1
    assert len(answering.done) == 20
    # It is tried again, by one of those that wait, and all of them stay in hand.
    clock.now += MAX_BACKOFF_S
    for _ in range(20):
        worker.step()
    assert silent.asked == 2
    assert len(run.in_flight.keys()) == 20


def test_acknowledgements_go_to_the_other_partitions_meanwhile(run: RunContext) -> None:
    acknowledger = Acknowledger(run)
    silent, answering = run.groups[0], run.groups[1]
    assert isinstance(silent, Silent)
    assert isinstance(answering, Answering)
    for number in range(3):
        for partition in (0, 1):
            done = delivery(partition, number)
            run.in_flight.add([done])
            run.in_flight.finish(done)
        acknowledger.step()
    assert silent.asked == 1
    assert answering.done == [b"0-0", b"1-0", b"2-0"]
    assert len(acknowledger.unsent) == 3
    # At the end there is no later to wait for, but those that work come first.
    run.ended.set()
    run.in_flight.finish(done := delivery(1, 9))
    acknowledger.step()
    assert silent.asked == 2
    assert answering.done[-1] == done.entry_id


@pytest.mark.parametrize("known", [True, False])
def test_at_the_end_the_other_partitions_are_left_as_they_should_be(
    run: RunContext, known: bool
) -> None:
    silent, answering = run.groups[0], run.groups[1]
    assert isinstance(silent, Silent)
    assert isinstance(answering, Answering)
    run.in_flight.add([delivery(0, 1), delivery(1, 2)])
    if known:
        run.outages.begin("read", [0], redis.TimeoutError())
    with capture_logs() as logs:
        ConsumerThreads(run).finish(lambda _: True)
    assert silent.asked == 1
    assert answering.done == ([b"2-0", b"left"] if known else [])
    assert logs[-1]["partitions"] == ([0] if known else [0, 1])


@pytest.mark.parametrize("is_full", [False, True])
def test_at_the_end_what_was_given_up_is_dead_and_else_handed_back(
    run: RunContext, monkeypatch: pytest.MonkeyPatch, *, is_full: bool
) -> None:
    """An async handler failed for the last time, and the worker that dead-letters has ended."""
    answering = run.groups[1]
    assert isinstance(answering, Answering)
    letters: list[bytes] = []

    def dead_letter(given_up: Delivery, _: DeadReason) -> int:
        if is_full:
            raise redis.OutOfMemoryError
        letters.append(given_up.entry_id)
        return 1

    monkeypatch.setattr(answering, "dead_letter", dead_letter)
    run.in_flight.add([delivery(1, 1), waiting := delivery(1, 2)])
    waiting.dead_reason = None
    run.outages.begin("read", [0], redis.TimeoutError())
    ConsumerThreads(run).finish(lambda _: True)
    assert letters == ([] if is_full else [b"1-0"])
    assert answering.done == [*([b"1-0"] if is_full else []), b"2-0", b"left"]


def test_at_the_end_what_finished_after_the_last_acknowledgement_is_acknowledged_and_not_handed_back(
    run: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handler of a worker that was left behind returns while other partitions are left."""
    answering = run.groups[1]
    assert isinstance(answering, Answering)
    handed_back: list[bytes] = []
    late, hanging = delivery(1, 1), delivery(1, 2)
    late.dead_reason = hanging.dead_reason = None

    def finishes_late(_: Acknowledger) -> None:
        run.in_flight.finish(late)

    def hand_back(deliveries: list[Delivery], _overdue: object) -> None:
        handed_back.extend(it.entry_id for it in deliveries)

    monkeypatch.setattr(Acknowledger, "step", finishes_late)
    monkeypatch.setattr(answering, "hand_back", hand_back)
    run.in_flight.add([late, hanging])
    run.outages.begin("read", [0], redis.TimeoutError())
    with capture_logs() as logs:
        ConsumerThreads(run).finish(lambda _: True)
    assert answering.done == [late.entry_id, b"left"]
    assert handed_back == [hanging.entry_id]
    assert logs[-1]["handed_back"] == 1


@pytest.mark.parametrize("fails_itself", [True, False])
def test_at_the_end_an_overdue_delivery_is_counted_once(
    run: RunContext, monkeypatch: pytest.MonkeyPatch, *, fails_itself: bool
) -> None:
    """Its handler is overdue until the event loop is cancelled; then it ends, or has just failed."""
    answering = run.groups[1]
    assert isinstance(answering, Answering)
    run.in_flight.add([hanging := delivery(1, 1)])
    hanging.dead_reason = None
    assert run.in_flight.take_now() is hanging
    late = Overdue(handler="h", kind="k", entry_id="1-0", partition=1, running_s=9.0, timeout_s=1.0)
    overdue, counted = [late], []

    def cancel() -> None:
        overdue.clear()
        if fails_itself:
            hanging.is_next_recorded = False
            run.in_flight.retry(hanging, 60)

    def hand_back(_: list[Delivery], also_counted: Collection[tuple[int, str]]) -> None:
        counted.extend(also_counted)

    monkeypatch.setattr(RunningHandlers, "overdue", property(lambda _: tuple(overdue)))
    monkeypatch.setattr(run.event_loop, "cancel", cancel)
    monkeypatch.setattr(answering, "hand_back", hand_back)
    run.outages.begin("read", [0], redis.TimeoutError())
    ConsumerThreads(run).finish(lambda _: True)
    assert counted == ([] if fails_itself else [(1, "1-0")])


def test_a_message_that_is_being_acknowledged_is_not_logged_as_lost() -> None:
    answering = Answering()
    none, groups = cast("Any", None), cast("Any", {1: answering})
    no_claims = cast("Any", {1: NothingToClaim()})
    run = RunContext(
        client=none,
        read_client=none,
        group="g",
        consumer="me",
        groups=groups,
        claims=no_claims,
        in_flight=InFlight(batch=50, ordered=False),
        handlers=Handlers(),
        read_size=AdaptiveSize(100),
        options=Options(takeover_idle_s=0.1),
        observer=Observer(),
    )
    run.in_flight.add([handled := delivery(1, 1), taken_away := delivery(1, 2)])
    run.in_flight.finish(handled)
    maintenance = Maintenance(run)
    with capture_logs() as logs:
        while not answering.done:
            maintenance.step()
        run.in_flight.remove([taken_away])
        answering.done.clear()
        while not answering.done:
            maintenance.step()
    assert [line["messages"] for line in logs if "belong to another" in line["event"]] == [1]
