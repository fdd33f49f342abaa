"""Threads for `asyncio.to_thread` that do not keep a process from ending."""

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
        # Calls that no thread has taken, and threads that are in no call.
        self._waiting = 0
        self._free = 0
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
            except BaseException as error:  # noqa: BLE001 - the future hands it to its waiter
                future.set_exception(error)
            else:
                future.set_result(result)

        with self._lock:
            self._waiting += 1
            self._calls.put(call)
            if self._waiting > self._free and self._count < self._limit:
                self._start_thread()
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

    def _start_thread(self) -> None:
        name = f"consumer-to-thread-{self._count}"
        threading.Thread(target=self._work, name=name, daemon=True).start()
        self._count += 1
        self._free += 1

    def _work(self) -> None:
        while call := self._calls.get():
            with self._lock:
                self._waiting -= 1
                self._free -= 1
            call()
            with self._lock:
                self._free += 1
