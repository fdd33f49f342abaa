"""Threads for `asyncio.to_thread` that do not keep a process from ending."""

import contextlib
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

Call = Callable[[], None]


class DaemonExecutor(ThreadPoolExecutor):
    """At most `threads` daemon threads, each started when it is needed.

    The interpreter waits at its end for the threads of the standard class. One that hangs in a handler would
    keep a stopped consumer's process alive. It derives from it because an event loop accepts nothing else.
    """

    def __init__(self, threads: int) -> None:
        super().__init__(max_workers=threads)
        self._calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._count = 0
        self._limit = threads
        self._lock = threading.Lock()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Has a thread call `fn`, as soon as one is free."""
        future: Future[T] = Future()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - whoever waits for the future gets it
                future.set_exception(error)
            else:
                future.set_result(result)

        self._calls.put(call)
        self._ensure_thread()
        return future

    def shutdown(
        self,
        wait: bool = True,  # noqa: ARG002 - see below
        *,
        cancel_futures: bool = False,  # noqa: ARG002 - see below
    ) -> None:
        """Has idle threads end; never waits for one, and cancels nothing."""
        for _ in range(self._count):
            self._calls.put(None)

    def _ensure_thread(self) -> None:
        if self._idle.acquire(blocking=False):
            return
        with self._lock:
            if self._count < self._limit:
                number = self._count
                threading.Thread(
                    target=self._work, name=f"consumer-to-thread-{number}", daemon=True
                ).start()
                self._count += 1

    def _work(self) -> None:
        while call := self._next():
            call()

    def _next(self) -> Call | None:
        with contextlib.suppress(queue.Empty):
            return self._calls.get_nowait()
        self._idle.release()
        return self._calls.get()
