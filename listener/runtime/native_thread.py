"""Runs blocking calls in native threads, so that a process that gevent has patched goes on meanwhile.

gevent makes sockets, locks and sleeping cooperative, but not a disk: a `fsync` that takes three
seconds, or a call of SQLite, stops every greenlet of a gunicorn worker for as long.
"""

import importlib
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")

TIMED_OUT = "the disk took too long"


class NativeThread:
    """A native thread that runs blocking calls, one after the other. Threads and greenlets share it.

    In a process that gevent has patched, the calling greenlet waits and the loop serves the others. In
    any other process the calling thread waits.

    Guaranteed: the first call starts the thread, and so does the first one after a fork; the thread does
    not keep a process from ending, even while a call hangs. Not guaranteed: that a call which timed out
    has no effect; only a call that had not begun by then never runs.

    A call must not use what gevent has patched (locks, queues, sockets, logging, this class), because
    that belongs to the loop of another thread.
    """

    def __init__(self) -> None:
        # Where nothing is patched.
        self._turn = threading.Lock()
        self._pool: Any = None
        self._process = 0

    def run(self, call: Callable[[], Result], timeout_s: float) -> Result:
        """Returns what the call returns, or raises what it raises.

        Args:
            call: blocks.
            timeout_s: for the call's turn and its end together.

        Raises:
            TimeoutError: that took longer. A call that had begun continues, and those behind it wait
                for its end, each within its own time limit.
        """
        job = _Job(call)
        try:
            (self._run_under_gevent if is_patched() else self._run_in_thread)(job, timeout_s)
        finally:
            job.is_wanted = False
        return job.result()

    def _run_under_gevent(self, job: "_Job[Any]", timeout_s: float) -> None:
        import gevent  # noqa: PLC0415 (the consumer library is installed without it)

        with gevent.Timeout(max(timeout_s, 0.001), TimeoutError(TIMED_OUT)):
            self._threads().spawn(job).get()

    def _run_in_thread(self, job: "_Job[Any]", timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        if not self._turn.acquire(timeout=max(timeout_s, 0)):
            raise TimeoutError(TIMED_OUT)

        def take_turn() -> None:
            try:
                job()
            finally:
                self._turn.release()

        thread = threading.Thread(target=take_turn, name="native", daemon=True)
        thread.start()
        thread.join(max(deadline - time.monotonic(), 0))
        if thread.is_alive():
            raise TimeoutError(TIMED_OUT)

    def _threads(self) -> Any:
        """A pool of one thread, as gevent documents it; a pool's threads do not survive a fork."""
        from gevent.threadpool import ThreadPool  # noqa: PLC0415 (as above)

        if self._pool is None or self._process != os.getpid():
            self._pool, self._process = ThreadPool(1), os.getpid()
        return self._pool


class _Job(Generic[Result]):
    """A call and its result or error: gevent would print the traceback of an error that leaves the thread."""

    def __init__(self, call: Callable[[], Result]) -> None:
        self._call = call
        self._result: Result | None = None
        self._error: BaseException | None = None
        self.is_wanted = True

    def __call__(self) -> None:
        if not self.is_wanted:
            return
        try:
            self._result = self._call()
        except BaseException as error:  # noqa: BLE001 (raised again in the caller's thread)
            self._error = error

    def result(self) -> Result:
        try:
            if self._error is not None:
                raise self._error
            return self._result  # type: ignore[return-value]  # it ended without an error
        finally:
            # The traceback of the error has this frame, which has the job, which has the error.
            self._error = None


def is_patched() -> bool:
    """Whether the threads of this process are greenlets."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


@cache
def unpatched(module: str, name: str) -> Any:
    """A function or class of the standard library, unpatched even where gevent has patched it."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey:
        return monkey.get_original(module, name)
    return getattr(importlib.import_module(module), name)
