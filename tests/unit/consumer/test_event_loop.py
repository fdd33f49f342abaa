"""The event loop of async handlers, and its executor, without a consumer."""

import asyncio
import contextlib
import sys
import threading
import time
from typing import Any

import pytest
from structlog.testing import capture_logs

from listener.consumer.handlers.daemon_executor import DaemonExecutor
from listener.consumer.handlers.event_loop import EventLoop
from listener.consumer.handlers.loop_watch import BLOCKED_S, LoopWatch
from testbed.polling import wait_until


def test_blocked_loop_is_logged_once_with_the_place_and_so_is_its_end() -> None:
    event_loop, now = EventLoop(), [0.0]
    watch = LoopWatch(event_loop, lambda: now[0])
    goes_on, blocks = threading.Event(), threading.Event()

    async def block_the_loop() -> None:
        blocks.set()
        goes_on.wait(20)

    with capture_logs() as logs:
        watch.check()
        assert event_loop.threads == (), "a consumer without async handlers has no loop"
        event_loop.start(block_the_loop)
        assert blocks.wait(20)
        watch.check()
        for _ in range(3):
            now[0] += BLOCKED_S
            watch.check()
        goes_on.set()
        ended = threading.Event()
        event_loop.call(ended.set)
        assert ended.wait(20)
        watch.check()
        watch.check()
    event_loop.cancel()
    event_loop.join(20)
    assert [line["event"] for line in logs] == [
        "event loop blocked by a handler",
        "event loop goes on",
    ]
    assert "block_the_loop" in logs[0]["at"]


def test_loop_whose_thread_cannot_be_started_is_started_at_the_next_handler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    event_loop, done = EventLoop(), threading.Event()

    async def work() -> None:
        done.set()

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="can't start"):
        patch.setattr(threading.Thread, "start", refuse)
        event_loop.start(work)
    event_loop.start(work)
    assert done.wait(20)
    event_loop.cancel()
    event_loop.join(20)
    assert not event_loop.threads[0].is_alive()


def test_work_that_is_cancelled_before_it_began_is_begun_again_and_other_work_is_not() -> None:
    """A handler cancels every task there is, among them those of other deliveries and its own."""
    event_loop, calls, done = EventLoop(), [], threading.Event()

    async def in_the_middle() -> None:
        calls.append("in the middle")
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    async def cancels_all() -> None:
        calls.append("cancels all")
        event_loop.start(comes_meanwhile)
        # After this turn its task is there, and has not begun.
        await asyncio.sleep(0)
        for task in asyncio.all_tasks():
            task.cancel()

    async def comes_meanwhile() -> None:
        calls.append("comes meanwhile")
        done.set()

    event_loop.start(in_the_middle)
    event_loop.start(cancels_all)
    is_done, turned = done.wait(5), threading.Event()
    event_loop.call(turned.set)
    assert turned.wait(20)
    event_loop.cancel()
    event_loop.join(20)
    assert is_done
    assert calls == ["in the middle", "cancels all", "comes meanwhile"]
    assert not event_loop.threads[0].is_alive()


class CancelsBefore:
    """A lock; just before it is acquired for the first time, the event loop is cancelled."""

    def __init__(self, event_loop: EventLoop) -> None:
        self._event_loop = event_loop
        self._lock = threading.Lock()
        self._is_cancelled = False

    def __enter__(self) -> None:
        if not self._is_cancelled:
            self._is_cancelled = True
            self._event_loop.cancel()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_loop_that_is_cancelled_while_its_first_work_comes_leaves_no_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    event_loop = EventLoop()
    monkeypatch.setattr(event_loop, "_lock", CancelsBefore(event_loop))

    async def work() -> None:
        pass

    event_loop.start(work)
    event_loop.join(2)
    assert not any(thread.is_alive() for thread in event_loop.threads)


def test_executor_runs_as_many_calls_at_once_as_it_has_threads_and_no_more() -> None:
    executor, lock, goes_on = DaemonExecutor(3), threading.Lock(), threading.Event()
    running = most = 0

    def call(number: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        goes_on.wait(20)
        with lock:
            running -= 1
        return number

    futures = [executor.submit(call, number) for number in range(9)]
    wait_until(lambda: running == 3)
    goes_on.set()
    assert [future.result(20) for future in futures] == list(range(9))
    assert most == 3
    executor.shutdown()
    wait_until(lambda: not named("consumer-to-thread"))


@pytest.mark.parametrize("_round", range(12))
def test_executor_has_a_thread_for_each_call_after_calls_that_came_as_others_ended(
    _round: int,
) -> None:
    executor, calls_at_once = DaemonExecutor(8), threading.Barrier(8)
    interval_s = sys.getswitchinterval()
    # Threads are interrupted nearly everywhere.
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(1500):
            executor.submit(int).result(20)
    finally:
        sys.setswitchinterval(interval_s)
    futures = [executor.submit(calls_at_once.wait, 5) for _ in range(8)]
    try:
        assert sorted(future.result(20) for future in futures) == list(range(8))
    finally:
        executor.shutdown()
    wait_until(lambda: not named("consumer-to-thread"))


def test_executor_raises_what_a_call_raises_and_leaves_out_what_was_cancelled() -> None:
    executor, goes_on = DaemonExecutor(1), threading.Event()
    calls: list[str] = []

    def fail() -> None:
        goes_on.wait(20)
        raise SystemExit(3)

    failing = executor.submit(fail)
    cancelled = executor.submit(calls.append, "cancelled")
    last = executor.submit(calls.append, "last")
    assert cancelled.cancel()
    goes_on.set()
    with pytest.raises(SystemExit):
        failing.result(20)
    last.result(20)
    assert calls == ["last"]
    executor.shutdown()


def test_threads_of_a_call_that_hangs_are_daemons() -> None:
    event_loop, threads = EventLoop(), []

    def hang() -> None:
        threads.append(threading.current_thread())
        time.sleep(0.5)

    async def work() -> None:
        await asyncio.to_thread(hang)

    event_loop.start(work)
    wait_until(lambda: len(threads) == 1)
    event_loop.cancel()
    event_loop.join(20)
    assert threads[0].daemon
    assert not event_loop.threads[0].is_alive(), "the loop does not wait for the thread"


def named(prefix: str) -> list[Any]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(prefix)]
