"""Splits a write into batches that Redis takes: halves a batch that fails, and remembers the size that passed."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, Union

from listener.errors import MessageRefusedError, QueueUnavailableError

Item = TypeVar("Item")
Result = TypeVar("Result")
Outcome = Union[Result, QueueUnavailableError]  # noqa: UP007 (subscripted where it is used)
Write = Callable[[Sequence[Item]], Sequence[Result]]

# After this many batches that passed, a larger one is tried: a failure costs little beside them.
BATCHES_BEFORE_GROWTH = 32


class BatchTooLargeError(Exception):
    """A batch of several items was refused, or was too slow, and a smaller one may pass."""


class Batcher(Generic[Item, Result]):
    """Bounds the bytes of a batch. Threads share the bound, which is only a hint.

    The bound is found by halving, whether Redis, or a proxy in front of it, refuses large requests, cuts
    the connection on them, or is too slow for them.
    """

    def __init__(self, size: Callable[[Item], int], max_bytes: int) -> None:
        """Takes a function that returns the size of an item, and the largest bound, both in bytes."""
        self._size = size
        self._max_bytes = self._bytes = max_bytes
        self._passed = 0

    def write(self, items: Sequence[Item], write: "Write[Item, Result]") -> list[Outcome[Result]]:
        """Writes all items in their order; returns for each its result, or the error that it failed with.

        Args:
            items: any number.
            write: writes a batch, and returns a result for each item. It raises `BatchTooLargeError` for
                several items that should be halved, MessageRefusedError for a single one that is
                refused, and another QueueUnavailableError to end the write: all items that are left
                fail with that one.

        Raises:
            Exception: any other that `write` raised.
        """
        outcomes: list[Outcome[Result]] = []
        try:
            while len(outcomes) < len(items):
                self._write(self._next(items, len(outcomes)), write, outcomes)
        except QueueUnavailableError as problem:
            outcomes += [problem] * (len(items) - len(outcomes))
        return outcomes

    def shrink(self, items: Sequence[Item]) -> None:
        """Halves the bound, since a batch of these items was too slow."""
        if len(items) > 1:
            self._limit(self._total(items) // 2)

    def _write(
        self,
        batch: Sequence[Item],
        write: "Write[Item, Result]",
        outcomes: list[Outcome[Result]],
    ) -> None:
        first = len(outcomes)
        try:
            outcomes += write(batch)
        except BatchTooLargeError:
            half = len(batch) // 2
            self._write(batch[:half], write, outcomes)
            self._write(batch[half:], write, outcomes)
            if not any(isinstance(outcome, Exception) for outcome in outcomes[first:]):
                # No single item was to blame, so it was the size.
                self._limit(max(self._total(batch[:half]), self._total(batch[half:])))
        except MessageRefusedError as refused:
            outcomes.append(refused)
        else:
            self._grow()

    def _next(self, items: Sequence[Item], start: int) -> Sequence[Item]:
        if not start and self._total(items) <= self._bytes:
            return items
        end, size = start, 0
        while end < len(items):
            size += self._size(items[end])
            if end > start and size > self._bytes:
                break
            end += 1
        return items[start:end]

    def _total(self, items: Sequence[Item]) -> int:
        return sum(map(self._size, items))

    def _limit(self, size: int) -> None:
        self._bytes = max(min(self._bytes, size), 1)
        self._passed = 0

    def _grow(self) -> None:
        self._passed += 1
        if self._passed >= BATCHES_BEFORE_GROWTH:
            self._bytes = min(2 * self._bytes, self._max_bytes)
            self._passed = 0
