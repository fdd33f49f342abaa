"""One asyncio event loop in a thread of its own, for async handlers."""

import asyncio
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

from listener.consumer.handlers.daemon_executor import DaemonExecutor
from listener.safe_logger import SafeLogger

log = SafeLogger("listener.consumer")

# How many of a thread's frames are shown: where a library blocks, and who called it.
FRAMES = 5

Work = Callable[[], Coroutine[Any, Any, None]]
"""Makes a coroutine that raises nothing."""


class EventLoop:
    """Starts its thread at its first use. Threads share it; none of its methods is called within the loop."""

    def __init__(self, *, threads: int = 1) -> None:
        """Starts nothing yet; `threads` is how many `asyncio.to_thread` may use at once, 32 at least."""
        self._to_thread = max(32, threads)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._lock = threading.Lock()
        self.is_stopping = False

    @property
    def threads(self) -> tuple[threading.Thread, ...]:
        """Its thread; none before its start."""
        return () if self._thread is None else (self._thread,)

    def start(self, work: Work) -> None:
        """Has the loop run what `work` makes; returns at once. After `cancel` nothing is started any more."""
        with self._lock:
            if not self.is_stopping:
                loop = self._loop or self._started_loop()
                # A context of its own: the task inherits nothing from the thread that begins it.
                loop.call_soon_threadsafe(self._create_task, loop, work, context=Context())

    def call(self, callback: Callable[[], None]) -> bool:
        """Has the loop call something soon; returns whether it was started and is not stopping."""
        with self._lock:
            if self._loop is None or self.is_stopping:
                return False
            self._loop.call_soon_threadsafe(callback)
            return True

    def position(self) -> str:
        """Where its thread is at this moment, innermost first; empty: nowhere."""
        frames = sys._current_frames()  # noqa: SLF001 - there is no public name
        frame = frames.get(self._thread.ident or 0) if self._thread else None
        stack = traceback.extract_stack(frame)[-FRAMES:] if frame else []
        return " < ".join(f"{it.filename}:{it.lineno} {it.name}" for it in reversed(stack))

    def cancel(self) -> None:
        """Cancels everything that runs, and has the loop stop once that has ended; returns at once."""
        with self._lock:
            # With the lock: no loop is started afterwards, and one that was started is stopped.
            self.is_stopping = True
            if self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._cancel_tasks)

    def join(self, timeout_s: float) -> None:
        """Waits until the loop has stopped. One that a handler blocks is left behind."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _started_loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        loop.set_default_executor(DaemonExecutor(self._to_thread))
        thread = threading.Thread(
            target=self._run, args=[loop], name="consumer-event-loop", daemon=True
        )
        try:
            thread.start()
        except BaseException:
            loop.close()
            raise
        self._loop, self._thread = loop, thread
        return loop

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            try:
                loop.run_forever()
            except BaseException:
                # A task that a handler left behind exits, for example: asyncio lets that through.
                log.exception("the event loop had a fault and goes on")
                continue
            if self.is_stopping:
                break
            # A handler stopped the loop, which is not its own.
            log.warning("a handler stopped the event loop; it goes on")
        try:
            loop.run_until_complete(_end_leftovers(loop))
        except BaseException:
            log.exception("what handlers left in the event loop had a fault")
        finally:
            with self._lock:
                loop.close()

    def _create_task(self, loop: asyncio.AbstractEventLoop, work: Work) -> None:
        if self.is_stopping:
            return
        has_begun = False

        async def begin() -> None:
            nonlocal has_begun
            has_begun = True
            await work()

        def discard(task: "asyncio.Task[None]") -> None:
            self._tasks.discard(task)
            if not has_begun:
                # A handler cancelled the tasks of others too; the work knows nothing of it.
                self._create_task(loop, work)
            self._stop_when_done()

        task = loop.create_task(begin())
        # The loop itself holds only weak references.
        self._tasks.add(task)
        task.add_done_callback(discard)

    def _cancel_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._stop_when_done()

    def _stop_when_done(self) -> None:
        if self._loop is not None and self.is_stopping and not self._tasks:
            self._loop.stop()


async def _end_leftovers(loop: asyncio.AbstractEventLoop) -> None:
    """Ends what handlers started and left behind: tasks and async generators."""
    tasks = asyncio.all_tasks(loop) - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await loop.shutdown_asyncgens()
