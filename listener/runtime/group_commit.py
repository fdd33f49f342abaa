"""Group commit: what several threads submit while a write is under way goes out together in the next."""

import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from listener.runtime.native_thread import is_patched

# About how long a group waits at most for the requests that are ready to run: a write costs nearly the same whatever
# is in its group. It is little of a message's time limit, for a worker whose loop is never idle.
GATHER_S = 0.005

Item = TypeVar("Item")
Result = TypeVar("Result")


class Slot(Generic[Item, Result]):
    """One submission, until its result or its error is there. It has a result only once it has succeeded."""

    __slots__ = ("done", "error", "item", "result", "size")

    def __init__(self, item: Item, size: int) -> None:
        self.item = item
        self.size = size
        self.done = threading.Event()
        self.result: Result
        self.error: Exception | None = None

    def fail(self, error: BaseException) -> None:
        interrupted = InterruptedError("the write was interrupted")
        self.error = error if isinstance(error, Exception) else interrupted
        self.done.set()

    def succeed(self, result: Result) -> None:
        self.result = result
        self.done.set()


class GroupCommit(Generic[Item, Result]):
    """Writes one group after the other.

    A group is what was submitted while the one before was written, and under gevent also what requests submit that
    are ready to run now.

    A thread of its own writes, so that no submitter waits longer than its timeout, however long the write
    takes. The first submission starts the thread: after a worker's fork, not before.

    Guaranteed: `write` is never called twice at the same time; a submitted item is in at most one group;
    a group's error reaches every one of its submitters; groups keep the order of submission. An item whose
    submitter timed out may still be written.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Item]], Sequence[Result]],
        *,
        size: Callable[[Item], int],
        max_items: int,
        max_bytes: int,
    ) -> None:
        """Starts nothing yet.

        Args:
            write: writes a group and returns a result for each item, or raises for all of them.
            size: of an item, in bytes.
            max_items: of a group.
            max_bytes: of a group; a single item may have more.
        """
        self._write = write
        self._size = size
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        # Set if the writer may have something to do: submissions, or the end.
        self._wake = threading.Event()
        self._waiting: list[Slot[Item, Result]] = []
        self._writing: list[Slot[Item, Result]] = []
        self._writer: threading.Thread | None = None
        self._closed = False

    def submit(self, item: Item, timeout_s: float) -> Result:
        """Returns the item's own result once its group is written.

        Raises:
            TimeoutError: that took longer than `timeout_s` seconds. If the item was in a group by
                then, it may still be written.
            Exception: what `write` raised for the item's group.
        """
        return self.wait(self.enqueue(item), timeout_s)

    def enqueue(self, item: Item) -> Slot[Item, Result]:
        """Submits an item without waiting; `wait` returns its result. Fails the slot once closed."""
        slot: Slot[Item, Result] = Slot(item, self._size(item))
        with self._lock:
            if self._closed:
                slot.fail(InterruptedError("closed"))
                return slot
            self._ensure_writer()
            self._waiting.append(slot)
            # Setting an event takes a lock of its own, and most submissions find it set. It is cleared under this lock.
            if not self._wake.is_set():
                self._wake.set()
        return slot

    def wait(self, slot: Slot[Item, Result], timeout_s: float) -> Result:
        """Returns the result of an enqueued item, or raises, as `submit` does."""
        try:
            if not (slot.done.is_set() or slot.done.wait(timeout_s)):
                self._withdraw(slot)
            if slot.error:
                raise slot.error
            return slot.result
        finally:
            # An error's traceback has this frame, which would have the slot, which has the error.
            del slot

    def is_awaited(self, settled: int) -> bool:
        """Whether a submitter still waits for the group that is being written, but for its first `settled` items."""
        return bool(_pending(self._writing[settled:]))

    def abandon(self, settled: int = 0) -> list[Slot[Item, Result]]:
        """Takes out every submission without a result, in their order; the caller has to fail them.

        Args:
            settled: how many of the first items of the group that is being written stay, because
                their results are known.
        """
        with self._lock:
            waiting, self._waiting = self._waiting, []
            return _pending([*self._writing[settled:], *waiting])

    def close(self) -> None:
        """Ends the thread once what was submitted is written."""
        with self._lock:
            self._closed = True
            writer = self._writer
        self._wake.set()
        if writer:
            writer.join()

    def _withdraw(self, slot: Slot[Item, Result]) -> None:
        with self._lock:
            if slot in self._waiting:
                self._waiting.remove(slot)
            if not slot.done.is_set():
                raise TimeoutError("the write took too long")

    def _ensure_writer(self) -> None:
        if self._writer is None:
            self._writer = threading.Thread(target=self._run, name="group-commit", daemon=True)
            self._writer.start()

    def _run(self) -> None:
        try:
            while self._write_next():
                pass
        finally:
            with self._lock:
                self._writer = None
                if self._waiting:
                    self._ensure_writer()

    def _next_group(self) -> list[Slot[Item, Result]]:
        """Waits for submissions and takes as many as a group may have; none once it is closed."""
        while True:
            self._wake.wait()
            wait_until_idle(GATHER_S)
            with self._lock:
                group = self._take_group()
                if group or self._closed:
                    return group
                self._wake.clear()

    def _take_group(self) -> list[Slot[Item, Result]]:
        count, size = 0, 0
        for slot in self._waiting[: self._max_items]:
            size += slot.size
            if count and size > self._max_bytes:
                break
            count += 1
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        self._writing = group
        return group

    def _write_next(self) -> bool:
        """Writes the next group; false once it is closed and all is written."""
        group = self._next_group()
        is_closed = not group
        try:
            results = self._write([slot.item for slot in group]) if group else []
            _succeed(group, results)
        except BaseException as error:
            # Also when this thread is being ended: no submitter may take silence for success.
            _fail(group, error)
            if not isinstance(error, Exception):
                raise
        finally:
            # As in `wait`.
            del group
        return not is_closed


def _pending(slots: Sequence[Slot[Item, Result]]) -> list[Slot[Item, Result]]:
    return [slot for slot in slots if not slot.done.is_set()]


def _succeed(group: Sequence[Slot[Any, Result]], results: Sequence[Result]) -> None:
    for slot, result in list(zip(group, results, strict=True)):
        slot.succeed(result)


def _fail(group: Sequence[Slot[Any, Any]], error: BaseException) -> None:
    for slot in group:
        slot.fail(error)


def wait_until_idle(limit_s: float) -> None:
    """Under gevent, lets every greenlet that is ready run first; in a process without gevent it returns at once.

    It ends about `limit_s` seconds later even if greenlets are ready again and again.

    Not guaranteed: that time to the millisecond. The limit is looked at once in a round of the event loop, so the round
    that is under way comes on top: with 50 greenlets that were always ready, 5 ms became 8 ms as the median and 27 ms
    for the slowest hundredth. A greenlet that never gives way is waited for without end.
    """
    if not is_patched():
        return
    import gevent  # noqa: PLC0415 (the consumer library is installed without it)

    with gevent.Timeout(limit_s, False):
        gevent.idle()
