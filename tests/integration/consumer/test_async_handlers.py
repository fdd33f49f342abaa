"""Async handlers on a real Redis, alone and beside plain ones: the promises are those of plain handlers."""

import asyncio
import contextlib
import contextvars
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from structlog.testing import capture_logs

from listener.consumer import Backoff, Consumer, HandlerTimeoutError, Observer, Reject, Retry
from testbed.polling import wait_until
from tests.support.consumer_feed import STREAM, feed, fields
from tests.support.consumer_runs import GROUP, QUICK, consumer, is_done, number_of, pending, running

DEAD = f"{{fota:0}}:dead:{GROUP}"
REQUEST = contextvars.ContextVar("request", default="")
# What `stop` may take beyond shutdown_s: threads that wait for nothing, and the machine.
MARGIN_S = 8.0
# Longer than the consumers of these tests wait for a handler; what is left behind ends soon after the test.
HANG_S = 6.0


def feed_kinds(client: Any, count: int, *, upgrades: int) -> None:
    """Messages of several upgrades by turns: even numbers are finished upgrades, odd ones unknown."""
    for number in range(count):
        kind = {} if number % 2 == 0 else {"kind": "unknown"}
        client.xadd(STREAM, fields(number, upgrade=f"u-{number % upgrades}", **kind))


def number(message: Any) -> int:
    return int(message.data["upgradeFinished"]["reason"])


def test_async_and_plain_handlers_side_by_side_keep_the_order_of_each_upgrade(
    redis_url: str, redis_client: Any
) -> None:
    began: dict[str, list[tuple[int, int]]] = defaultdict(list)
    running_now: dict[str, int] = defaultdict(int)
    overlaps: list[str] = []
    threads: dict[str, set[str]] = defaultdict(set)
    reader = consumer(redis_url, ordered=True, concurrency=8)

    def begin(message: Any, sort: str) -> None:
        began[message.subject].append((number(message), message.deliveries))
        threads[sort].add(threading.current_thread().name)
        running_now[message.subject] += 1
        if running_now[message.subject] > 1:
            overlaps.append(message.subject)

    def end(message: Any) -> None:
        running_now[message.subject] -= 1
        if number(message) % 17 == 0 and message.deliveries == 1:
            raise LookupError

    @reader.on("upgrade-finished")
    async def finished(message: Any) -> None:
        begin(message, "async")
        await asyncio.sleep(0.001)
        end(message)

    @reader.on()
    def rest(message: Any) -> None:
        begin(message, "plain")
        time.sleep(0.001)
        end(message)

    # Of seven upgrades each has messages for both handlers.
    feed_kinds(redis_client, 280, upgrades=7)
    with running(reader):
        wait_until(lambda: is_done(redis_client) and not any(running_now.values()))
    assert not overlaps
    for upgrade, deliveries in began.items():
        expected = [
            (number, delivery)
            for number in range(int(upgrade[2:]), 280, 7)
            for delivery in ((1, 2) if number % 17 == 0 else (1,))
        ]
        assert deliveries == expected, upgrade
    assert threads["async"] == {"consumer-event-loop"}
    assert all(name.startswith("consumer-worker-") for name in threads["plain"])
    assert redis_client.xlen(DEAD) == 0


@pytest.mark.parametrize("with_plain", [False, True])
def test_as_many_async_handlers_as_concurrency_run_at_once(
    redis_url: str, redis_client: Any, *, with_plain: bool
) -> None:
    now, most, reached = 0, 0, threading.Event()
    reader = consumer(redis_url, concurrency=20)

    @reader.on("upgrade-finished")
    async def finished(_: Any) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        if most == 20:
            reached.set()
        await asyncio.to_thread(reached.wait, 20)
        now -= 1

    if with_plain:
        reader.on()(print)
    feed(redis_client, range(200))
    with running(reader):
        wait_until(lambda: is_done(redis_client))
    assert most == 20


def fail_twice(message: Any) -> None:
    if message.deliveries < 3:
        raise FileNotFoundError


def always_fail(message: Any) -> None:
    raise FileNotFoundError(message.reason)


def cancel_itself(message: Any) -> None:
    raise asyncio.CancelledError


def leave(message: Any) -> None:
    raise SystemExit(3)


def reject(message: Any) -> None:
    raise Reject("no such tariff")


def reject_in_group(message: Any) -> None:
    raise BaseExceptionGroup("as a task group raises it", [Reject("no such tariff")])


def several(message: Any) -> None:
    raise BaseExceptionGroup("two", [LookupError("a"), KeyboardInterrupt("b")])


def retry_at_once(message: Any) -> None:
    if message.deliveries == 1:
        raise Retry("not yet", after_s=0)


@pytest.mark.parametrize(
    "behaviour",
    [
        *(fail_twice, always_fail, cancel_itself, leave, reject, reject_in_group, several),
        retry_at_once,
    ],
)
def test_an_async_handler_ends_its_message_as_a_plain_one_does(
    redis_url: str, redis_client: Any, behaviour: Callable[[Any], None]
) -> None:
    outcomes = []
    for is_async in (False, True):
        deliveries: list[int] = []

        def plain(message: Any, deliveries: list[int] = deliveries) -> None:
            deliveries.append(message.deliveries)
            behaviour(message)

        async def later(message: Any, deliveries: list[int] = deliveries) -> None:
            deliveries.append(message.deliveries)
            await asyncio.sleep(0)
            behaviour(message)

        redis_client.delete(STREAM, DEAD)
        feed(redis_client, [1])
        reader = consumer(redis_url, later if is_async else plain, max_deliveries=3)
        with running(reader):
            wait_until(lambda: is_done(redis_client))
        letters = [
            {name: letter[name] for name in ("reason", "error", "deliveries", "kind", "data")}
            for _, letter in redis_client.xrange(DEAD)
        ]
        outcomes.append((deliveries, letters))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][0][0] == 1


class Failures(Observer):
    def __init__(self) -> None:
        self.errors: list[BaseException] = []

    def failed(self, kind: str, error: BaseException) -> None:
        self.errors.append(error)


def test_an_async_handler_beyond_its_time_is_cancelled_retried_and_dead_as_timed_out(
    redis_url: str, redis_client: Any
) -> None:
    cleaned, failures = [], Failures()
    reader = consumer(redis_url, observer=failures)

    @reader.on(timeout_s=0.05, max_deliveries=2)
    async def hang(message: Any) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            cleaned.append(message.deliveries)

    feed(redis_client, [1])
    with running(reader):
        wait_until(lambda: redis_client.xlen(DEAD) == 1)
    [(_, letter)] = redis_client.xrange(DEAD)
    assert cleaned == [1, 2]
    assert (letter["reason"], letter["deliveries"]) == ("timed-out", "2")
    assert (
        "HandlerTimeoutError: the handler did not return within its timeout_s of 0.05 s"
        in (letter["error"])
    )
    assert "await asyncio.sleep(3600)" in letter["traceback"]
    assert {type(error) for error in failures.errors} == {HandlerTimeoutError}


async def own_timeout(message: Any) -> None:
    async with asyncio.timeout(0.001):
        await asyncio.sleep(3600)


async def raises_when_cancelled(message: Any) -> None:
    try:
        await asyncio.sleep(3600)
    finally:
        raise LookupError("while cleaning up")


async def rejects_when_cancelled(message: Any) -> None:
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        raise Reject("too slow") from None


async def in_a_task_group(message: Any) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(3600))


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (own_timeout, "handler-failed"),
        (raises_when_cancelled, "timed-out"),
        (rejects_when_cancelled, "rejected"),
        (in_a_task_group, "timed-out"),
    ],
)
def test_only_a_timeout_of_ours_counts_as_one(
    redis_url: str, redis_client: Any, handler: Any, reason: str
) -> None:
    reader = consumer(redis_url)
    limit_s = 60.0 if reason == "handler-failed" else 0.02
    reader.on(timeout_s=limit_s, max_deliveries=1)(handler)
    feed(redis_client, [1])
    with running(reader):
        wait_until(lambda: redis_client.xlen(DEAD) == 1)
    assert redis_client.xrange(DEAD)[0][1]["reason"] == reason


def test_a_handler_that_swallows_its_cancellation_is_overdue_and_then_handled(
    redis_url: str, redis_client: Any
) -> None:
    goes_on = threading.Event()
    reader = consumer(redis_url)

    @reader.on(timeout_s=0.02)
    async def stubborn(message: Any) -> None:
        while not goes_on.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)

    feed(redis_client, [1])
    with capture_logs() as logs, running(reader):
        wait_until(lambda: len(reader.overdue) == 1)
        wait_until(lambda: any("handler overdue" in line["event"] for line in logs))
        goes_on.set()
        wait_until(lambda: is_done(redis_client))
        assert reader.overdue == ()
    assert redis_client.xlen(DEAD) == 0


def has_overdue(reader: Consumer) -> bool:
    return len(reader.overdue) == 1


def test_an_overdue_handler_that_ends_as_the_consumer_stops_has_its_delivery_counted(
    redis_url: str, redis_client: Any
) -> None:
    deliveries: list[int] = []

    async def hangs_while_cleaning_up(message: Any) -> None:
        deliveries.append(message.deliveries)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.Event().wait()

    feed(redis_client, [1])
    # As a supervisor replaces the process again and again.
    for number in range(1, 4):
        reader = consumer(redis_url, shutdown_s=0.1)
        reader.on(timeout_s=0.02, max_deliveries=3)(hangs_while_cleaning_up)
        with running(reader):
            wait_until(partial(has_overdue, reader))
        assert deliveries == list(range(1, number + 1))
    [(_, letter)] = redis_client.xrange(DEAD)
    assert (letter["reason"], letter["deliveries"]) == ("timed-out", "3")
    assert pending(redis_client) == 0


async def waits_for_ever(_: Any) -> None:
    await asyncio.Event().wait()


async def swallows_cancellation(_: Any) -> None:
    until = time.monotonic() + HANG_S
    while time.monotonic() < until:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.05)


async def blocks_the_loop(_: Any) -> None:
    time.sleep(HANG_S)  # noqa: ASYNC251 - it is what must not hold up the end


async def hangs_in_a_thread(_: Any) -> None:
    await asyncio.to_thread(time.sleep, HANG_S)


async def leaves_a_task_that_hangs(_: Any) -> None:
    LEFT.append(asyncio.create_task(swallows_cancellation(None)))
    await asyncio.Event().wait()


LEFT: list[Any] = []


@pytest.mark.parametrize(
    "handler",
    [
        *(waits_for_ever, swallows_cancellation, blocks_the_loop, hangs_in_a_thread),
        leaves_a_task_that_hangs,
    ],
)
def test_the_consumer_stops_within_its_bound_whatever_an_async_handler_does(
    redis_url: str, redis_client: Any, handler: Any
) -> None:
    begun: list[str] = []

    async def wrapped(message: Any) -> None:
        begun.append(message.entry_id)
        await handler(message)

    reader = consumer(redis_url, wrapped, shutdown_s=0.2, concurrency=3, max_deliveries=1)
    feed(redis_client, range(5))
    thread = threading.Thread(target=reader.run, daemon=True)
    thread.start()
    wait_until(lambda: len(begun) >= 1)
    asked = time.monotonic()
    reader.stop()
    thread.join(MARGIN_S)
    assert not thread.is_alive()
    assert time.monotonic() - asked < MARGIN_S
    # All of them are another consumer's at once, and no delivery was counted: none dies of it.
    got: list[tuple[int, int]] = []
    with running(consumer(redis_url, lambda it: got.append((number_of(it), it.deliveries)))):
        wait_until(lambda: is_done(redis_client))
    assert sorted(got) == [(number, 1) for number in range(5)]
    assert redis_client.xlen(DEAD) == 0


def test_what_is_running_when_the_consumer_stops_is_finished_and_acknowledged(
    redis_url: str, redis_client: Any
) -> None:
    begun, ended = threading.Event(), []

    async def slow(message: Any) -> None:
        begun.set()
        await asyncio.sleep(0.3)
        ended.append(message)

    feed(redis_client, [1])
    with running(consumer(redis_url, slow)):
        begun.wait(10)
    assert len(ended) == 1
    assert pending(redis_client) == 0


def test_a_consumer_with_async_handlers_runs_again_in_a_loop_of_its_own(
    redis_url: str, redis_client: Any
) -> None:
    loops, threads = [], []
    left: list[asyncio.Task[None]] = []

    async def handler(_: Any) -> None:
        loops.append(asyncio.get_running_loop())
        threads.append(threading.current_thread())
        left.append(asyncio.create_task(waits_for_ever(None)))

    reader = consumer(redis_url, handler)
    for number in range(2):
        feed(redis_client, [number])
        with running(reader):
            wait_until(lambda: is_done(redis_client))
    assert len(set(map(id, loops))) == 2
    assert all(loop.is_closed() for loop in loops)
    assert all(task.cancelled() for task in left), "what handlers leave behind ends with the run"
    assert not any(thread.is_alive() for thread in threads)


def test_a_handler_that_harms_the_loop_harms_no_other(redis_url: str, redis_client: Any) -> None:
    got: list[int] = []

    async def leave_later() -> None:
        raise SystemExit(1)

    async def harm(message: Any) -> None:
        if number_of(message) == 0:
            LEFT.append(asyncio.create_task(leave_later()))
        elif number_of(message) == 1:
            asyncio.get_running_loop().stop()
        await asyncio.sleep(0.01)
        got.append(number_of(message))

    feed(redis_client, range(4))
    with running(consumer(redis_url, harm)):
        wait_until(lambda: is_done(redis_client))
    assert got == [0, 1, 2, 3]


def test_context_variables_of_one_delivery_are_not_seen_by_the_next(
    redis_url: str, redis_client: Any
) -> None:
    seen: list[str] = []
    reader = consumer(redis_url)

    @reader.on("upgrade-finished")
    async def finished(message: Any) -> None:
        seen.append(REQUEST.get())
        REQUEST.set(message.request_id)

    @reader.on()
    def rest(message: Any) -> None:
        seen.append(REQUEST.get())
        REQUEST.set(message.request_id)

    feed_kinds(redis_client, 10, upgrades=1)
    with running(reader):
        wait_until(lambda: is_done(redis_client))
    assert seen == [""] * 10


def test_async_context_managers_surround_async_handlers(redis_url: str, redis_client: Any) -> None:
    events: list[str] = []
    reader = consumer(redis_url, max_deliveries=2)

    @reader.around
    @asynccontextmanager
    async def session(message: Any) -> AsyncIterator[None]:
        await asyncio.sleep(0)
        events.append("begin")
        REQUEST.set(message.request_id)
        try:
            yield
        except BaseException as error:
            events.append(type(error).__name__)
            raise
        events.append("commit")

    @reader.on(timeout_s=0.05)
    async def handler(message: Any) -> None:
        assert REQUEST.get() == message.request_id
        if message.deliveries == 1:
            await asyncio.sleep(3600)

    feed(redis_client, [1])
    with running(reader):
        wait_until(lambda: is_done(redis_client))
    assert events == ["begin", "HandlerTimeoutError", "begin", "commit"]


def test_a_failure_of_the_backoff_does_not_lose_the_message_of_an_async_handler(
    redis_url: str, redis_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("listener.consumer.deliveries.worker.RETRY_S", 0.01)
    deliveries: list[int] = []

    async def handler(message: Any) -> None:
        deliveries.append(message.deliveries)
        raise LookupError

    def fail() -> float:
        raise ZeroDivisionError

    feed(redis_client, [1])
    backoff = Backoff(base_s=0.01, cap_s=0.02, chance=fail)
    reader = consumer(redis_url, handler, **{**QUICK, "max_deliveries": 3, "backoff": backoff})
    with running(reader):
        wait_until(lambda: redis_client.xlen(DEAD) == 1)
    assert deliveries == [1, 2, 3]
