"""A partition that fails is left alone for a while, so that the others get the threads' time."""

from typing import Any, cast

import pytest
import redis
from structlog.testing import capture_logs

from listener.consumer.acknowledger import Acknowledger
from listener.consumer.caretaker import Caretaker
from listener.consumer.context import Context
from listener.consumer.delivery import Delivery, Verdict
from listener.consumer.desk import Desk
from listener.consumer.engine import Engine
from listener.consumer.group import NOTHING, Taken
from listener.consumer.handlers import Handlers
from listener.consumer.observer import Observer
from listener.consumer.options import Options
from listener.consumer.outages import LONGEST_REST_S, REST_S, Outages, RestingError
from listener.consumer.portion import Portion
from listener.consumer.worker import Worker


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

    def bury(self, *_: Any) -> int:
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

    def bury(self, delivery: Delivery, _: Verdict) -> int:
        self.done.append(delivery.entry_id)
        return 1

    def acknowledge(self, ids: list[bytes]) -> None:
        self.done += ids

    def hand_back(self, deliveries: list[Delivery]) -> None:
        self.done += [it.entry_id for it in deliveries]

    def hold(self, deliveries: list[Delivery]) -> list[Delivery]:
        self.done.append(b"held")
        return deliveries

    def just_touched(self, limit: int) -> dict[bytes, bytes]:
        return {}

    def take(self, *_: Any) -> Taken:
        return NOTHING

    def sweep(self) -> list[str]:
        return []

    def leave(self) -> None:
        self.done.append(b"left")


def delivery(partition: int, number: int) -> Delivery:
    return Delivery(
        partition=partition,
        entry_id=b"%d-0" % number,
        fields={},
        recorded=1,
        is_next_recorded=True,
        held_at=0.0,
        verdict=Verdict(reason="crashed", error=""),
    )


def attempt(outages: Outages, clock: Clock, *, takes_s: float, fails: bool = False) -> None:
    with outages.attempt("deliver", 0):
        clock.now += takes_s
        if fails:
            raise redis.ConnectionError


@pytest.mark.parametrize(
    ("takes_s", "rest_s"), [(0, REST_S), (0.5, 2), (5, 20), (3600, LONGEST_REST_S)]
)
def test_the_longer_a_failure_took_the_longer_it_is_not_tried_again(
    takes_s: float, rest_s: float
) -> None:
    outages = Outages(clock := Clock())
    with pytest.raises(redis.ConnectionError):
        attempt(outages, clock, takes_s=takes_s, fails=True)
    with pytest.raises(RestingError) as resting:
        attempt(outages, clock, takes_s=0)
    assert resting.value.left_s == pytest.approx(rest_s)
    with outages.attempt("deliver", 1), outages.attempt("hold", 0):
        """Other partitions and other activities are not meant."""
    clock.now += rest_s
    attempt(outages, clock, takes_s=1)
    attempt(outages, clock, takes_s=1)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def context(clock: Clock) -> Context:
    groups: Any = {0: Silent(clock), 1: Answering()}
    none: Any = None
    return Context(
        client=none,
        reading=none,
        group="g",
        consumer="me",
        groups=groups,
        desk=Desk(batch=50, ordered=False, clock=clock),
        handlers=Handlers(),
        portion=Portion(100),
        options=Options(),
        observer=Observer(),
        outages=Outages(clock),
    )


def test_a_partition_that_hangs_takes_a_worker_from_the_others_once_in_a_while(
    context: Context, clock: Clock
) -> None:
    context.desk.put([delivery(0, number) for number in range(20)])
    context.desk.put([delivery(1, number) for number in range(20)])
    worker = Worker(context)
    for _ in range(40):
        worker.step()
    silent, answering = context.groups[0], context.groups[1]
    assert isinstance(silent, Silent)
    assert isinstance(answering, Answering)
    assert silent.asked == 1
    assert len(answering.done) == 20
    # It is tried again, by one of those that wait, and all of them stay in hand.
    clock.now += LONGEST_REST_S
    for _ in range(20):
        worker.step()
    assert silent.asked == 2
    assert len(context.desk) == 20


def test_acknowledgements_go_to_the_other_partitions_meanwhile(context: Context) -> None:
    acknowledger = Acknowledger(context)
    silent, answering = context.groups[0], context.groups[1]
    assert isinstance(silent, Silent)
    assert isinstance(answering, Answering)
    for number in range(3):
        for partition in (0, 1):
            done = delivery(partition, number)
            context.desk.put([done])
            context.desk.finish(done)
        acknowledger.step()
    assert silent.asked == 1
    assert answering.done == [b"0-0", b"1-0", b"2-0"]
    assert len(acknowledger.unsent) == 3
    # At the end there is no later to wait for, but those that work come first.
    context.ended.set()
    context.desk.finish(done := delivery(1, 9))
    acknowledger.step()
    assert silent.asked == 2
    assert answering.done[-1] == done.entry_id


@pytest.mark.parametrize("known", [True, False])
def test_at_the_end_the_other_partitions_are_left_as_they_should_be(
    context: Context, known: bool
) -> None:
    silent, answering = context.groups[0], context.groups[1]
    assert isinstance(silent, Silent)
    assert isinstance(answering, Answering)
    context.desk.put([delivery(0, 1), delivery(1, 2)])
    if known:
        context.outages.begin("read", [0], redis.TimeoutError())
    with capture_logs() as logs:
        Engine(context).finish(lambda _: True)
    assert silent.asked == 1
    assert answering.done == ([b"2-0", b"left"] if known else [])
    assert logs[-1]["partitions"] == ([0] if known else [0, 1])


def test_what_is_being_acknowledged_is_not_told_as_lost() -> None:
    answering = Answering()
    none, groups = cast("Any", None), cast("Any", {1: answering})
    context = Context(
        client=none,
        reading=none,
        group="g",
        consumer="me",
        groups=groups,
        desk=Desk(batch=50, ordered=False),
        handlers=Handlers(),
        portion=Portion(100),
        options=Options(takeover_idle_s=0.1),
        observer=Observer(),
    )
    context.desk.put([handled := delivery(1, 1), taken_away := delivery(1, 2)])
    context.desk.finish(handled)
    caretaker = Caretaker(context)
    with capture_logs() as logs:
        while not answering.done:
            caretaker.step()
        context.desk.clear([taken_away])
        answering.done.clear()
        while not answering.done:
            caretaker.step()
    assert [line["messages"] for line in logs if "belong to another" in line["event"]] == [1]
