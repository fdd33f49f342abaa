"""What a consumer says of its own health."""

import contextlib

import pytest
import redis

from listener.consumer import Consumer, Observer
from listener.consumer.monitoring.health import Health
from listener.consumer.options import SafeObserver
from listener.consumer.outages import Outages
from testbed.polling import wait_until


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_consumer_that_does_not_run_says_so() -> None:
    assert Consumer(group="g").health() == Health(is_running=False)


def test_partition_is_silent_since_its_last_command_that_succeeded() -> None:
    clock = Clock()
    outages = Outages(clock)
    clock.now += 3
    assert outages.silent_s(0) == 3
    outages.record_answer([0])
    clock.now += 2
    with outages.attempt("claim", 1):
        clock.now += 1
    with contextlib.suppress(redis.ConnectionError), outages.attempt("claim", 0):
        raise redis.ConnectionError
    assert (outages.silent_s(0), outages.silent_s(1)) == (3, 0)


def test_every_observer_is_called_also_after_one_that_raises(
    capfd: pytest.CaptureFixture[str],
) -> None:
    seen: list[str] = []

    class Failing(Observer):
        def handled(self, kind: str, seconds: float) -> None:
            raise SystemExit

    class Working(Observer):
        def handled(self, kind: str, seconds: float) -> None:
            seen.append(kind)

    SafeObserver(Failing(), Working()).handled("unknown", 0.1)
    assert seen == ["unknown"]
    # A thread of its own writes the log, perhaps to a standard error that an earlier test has seen.
    written: list[str] = []

    def is_logged() -> bool:
        written.append(capfd.readouterr().err)
        return "the observer failed" in "".join(written)

    wait_until(is_logged)
