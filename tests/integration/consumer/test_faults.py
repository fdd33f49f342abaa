"""A consumer keeps working whatever its surroundings do: its log, its observer, its threads."""

import errno
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from listener.consumer import Backoff, Observer
from testbed.polling import wait_until
from tests.support.consumer_feed import STREAM, feed
from tests.support.consumer_runs import GROUP, consumer, is_done, number_of, running

DEAD = f"{{fota:0}}:dead:{GROUP}"


@pytest.fixture
def full_disk() -> Iterator[None]:
    """Every line of the log fails, as with standard output on a full disk."""

    def fail(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = structlog.get_config()
    structlog.configure(processors=[fail])
    yield
    structlog.configure(**before)


@pytest.mark.usefixtures("full_disk")
def test_a_log_that_cannot_be_written_stops_nothing(redis_url: str, redis_client: Any) -> None:
    got: list[int] = []

    class Broken(Observer):
        def handled(self, kind: str, seconds: float) -> None:
            raise LookupError

    def handler(message: Any) -> None:
        got.append(number_of(message))
        if number_of(message) == 1:
            raise LookupError

    redis_client.xadd(STREAM, {"no": "message"})
    feed(redis_client, range(5))
    with running(consumer(redis_url, handler, max_deliveries=2, observer=Broken())):
        wait_until(lambda: redis_client.xlen(DEAD) == 2 and is_done(redis_client))
        # Its group is made again, and that is told as well.
        redis_client.xgroup_destroy(STREAM, GROUP)
        wait_until(lambda: got.count(0) == 2 and redis_client.xlen(DEAD) == 4)
    assert sorted(got) == [0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4]


def test_an_observer_that_exits_stops_nothing(redis_url: str, redis_client: Any) -> None:
    class Exits(Observer):
        def received(self, messages: int, partition: int) -> None:
            raise SystemExit(1)

        def handled(self, kind: str, seconds: float) -> None:
            raise SystemExit(1)

    got: list[int] = []
    reader = consumer(redis_url, lambda it: got.append(number_of(it)), observer=Exits())
    feed(redis_client, range(3))
    with running(reader):
        wait_until(lambda: len(got) == 3 and is_done(redis_client))
        feed(redis_client, range(3, 6))
        wait_until(lambda: len(got) == 6 and is_done(redis_client))
    assert got == list(range(6))


def test_a_backoff_that_fails_does_not_keep_a_message_from_dying(
    redis_url: str, redis_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("listener.consumer.deliveries.worker.RETRY_S", 0.01)
    deliveries: list[int] = []

    def handler(message: Any) -> None:
        deliveries.append(message.deliveries)
        raise LookupError

    def fail() -> float:
        raise ZeroDivisionError

    feed(redis_client, [1])
    with running(consumer(redis_url, handler, max_deliveries=3, backoff=Backoff(chance=fail))):
        wait_until(lambda: redis_client.xlen(DEAD) == 1)
    assert deliveries == [1, 2, 3]


def test_threads_that_cannot_be_started_end_the_run_and_leave_none(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "consumer-maintenance":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="can't start"):
        consumer(redis_url, print, concurrency=3).run()
    wait_until(lambda: not [it for it in threading.enumerate() if it.name.startswith("consumer-")])
