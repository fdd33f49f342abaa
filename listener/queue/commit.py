"""Group commit: what several threads want written at the same time goes out in one write."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(eq=False)
class _Slot(Generic[Item, Result]):
    """One submission, until its result or its error is there."""

    item: Item
    size: int
    result: Result | None = None
    error: Exception | None = None
    done: bool = False

    def fail(self, error: BaseException) -> None:
        interrupted = InterruptedError("the write was interrupted")
        self.error = error if isinstance(error, Exception) else interrupted
        self.done = True


class GroupCommit(Generic[Item, Result]):
    """Writes one group after the other; a group is what arrived while the one before was written.

    There is no writing thread: whoever gets the turn writes for all who wait, itself included, and
    the others find their results there. So nothing has to be started, stopped or drained, and a
    process that ends has no group but those its requests still wait for.

    Guaranteed: `write` is never called twice at the same time; a submitted item is in one group at
    the most; a group's error reaches every one of its submitters. Groups keep the order of
    submission.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Item]], Sequence[Result]],
        *,
        size: Callable[[Item], int],
        most_items: int,
        most_bytes: int,
    ) -> None:
        """Takes what writes a group, and the bounds of one.

        Args:
            write: takes a group and returns a result for each item, or raises for all of them.
            size: of an item, in bytes.
            most_items: in a group.
            most_bytes: in a group; a single item may have more.
        """
        self._write = write
        self._size = size
        self._most_items = most_items
        self._most_bytes = most_bytes
        self._turn = threading.Lock()
        self._waiting: list[_Slot[Item, Result]] = []
        self._guard = threading.Lock()

    def submit(self, item: Item, timeout_s: float) -> Result:
        """Returns the item's own result once its group is written.

        Raises:
            TimeoutError: the turn did not come within `timeout_s`, or the item's group took longer.
                If the item was in a group by then, it may still be written.
            Exception: what `write` raised for the item's group.
        """
        slot: _Slot[Item, Result] = _Slot(item, self._size(item))
        with self._guard:
            self._waiting.append(slot)
        if not self._turn.acquire(timeout=timeout_s):
            self._withdraw(slot)
            raise TimeoutError(f"no turn to write within {timeout_s} s")
        try:
            while not slot.done:
                self._write_group()
        finally:
            self._turn.release()
        if slot.error:
            raise slot.error
        return slot.result  # type: ignore[return-value]  # done without an error: it has a result

    def _withdraw(self, slot: _Slot[Item, Result]) -> None:
        with self._guard:
            if slot in self._waiting:
                self._waiting.remove(slot)

    def _write_group(self) -> None:
        group = self._next_group()
        try:
            results = self._write([slot.item for slot in group])
            pairs = list(zip(group, results, strict=True))
        except BaseException as error:
            # Also when this thread is being ended: nobody may take silence for success.
            for slot in group:
                slot.fail(error)
            if not isinstance(error, Exception):
                raise
        else:
            for slot, result in pairs:
                slot.result, slot.done = result, True

    def _next_group(self) -> list[_Slot[Item, Result]]:
        with self._guard:
            count, size = 0, 0
            for slot in self._waiting[: self._most_items]:
                size += slot.size
                if count and size > self._most_bytes:
                    break
                count += 1
            group, self._waiting = self._waiting[:count], self._waiting[count:]
            return group
