"""Writes many items in portions that are taken: halves what fails, and remembers the size that passed."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, Union

from listener.errors import MessageRefusedError, QueueUnavailableError

Item = TypeVar("Item")
Result = TypeVar("Result")
Outcome = Union[Result, QueueUnavailableError]  # noqa: UP007 (subscripted where it is used)

# So many portions pass before a larger one is tried again: one failure costs little beside them.
BATCHES_BEFORE_GROWTH = 32


class BatchTooLargeError(Exception):
    """A portion of several items was refused, or was too slow, and a smaller one may pass."""


class Batcher(Generic[Item, Result]):
    """Bounds what is written at once. What is remembered is shared by all threads, and only ever a hint.

    A limit of bytes is found by halving, whether Redis, or what stands before it, refuses large requests,
    cuts the connection on them, or is too slow for them.
    """

    def __init__(self, size: Callable[[Item], int], most_bytes: int) -> None:
        """Takes how large an item is, and what a portion may have at the most."""
        self._size = size
        self._most_bytes = self._bytes = most_bytes
        self._passes = 0

    def write(
        self, items: Sequence[Item], write: Callable[[Sequence[Item]], Sequence[Result]]
    ) -> list[Outcome[Result]]:
        """Writes all items, in their order; for each its result, or why there is none.

        Args:
            items: any number.
            write: writes a portion, and returns a result for each item. It raises `BatchTooLargeError` for one of
                several items that shall be halved, MessageRefusedError for a single one that
                is refused, and another QueueUnavailableError where nothing more is to be tried:
                all that are left get that one.

        Raises:
            Exception: whatever else `write` raised.
        """
        outcomes: list[Outcome[Result]] = []
        try:
            while len(outcomes) < len(items):
                self._write(self._next(items, len(outcomes)), write, outcomes)
        except QueueUnavailableError as problem:
            outcomes += [problem] * (len(items) - len(outcomes))
        return outcomes

    def shrink(self, items: Sequence[Item]) -> None:
        """Remembers that so much was too much."""
        if len(items) > 1:
            self._limit(self._total(items) // 2)

    def _write(
        self,
        portion: Sequence[Item],
        write: Callable[[Sequence[Item]], Sequence[Result]],
        outcomes: list[Outcome[Result]],
    ) -> None:
        before = len(outcomes)
        try:
            outcomes += write(portion)
        except BatchTooLargeError:
            half = len(portion) // 2
            self._write(portion[:half], write, outcomes)
            self._write(portion[half:], write, outcomes)
            if not any(isinstance(outcome, Exception) for outcome in outcomes[before:]):
                # No item alone was to blame, so it was the size.
                self._limit(max(self._total(portion[:half]), self._total(portion[half:])))
        except MessageRefusedError as refused:
            outcomes.append(refused)
        else:
            self._passed()

    def _next(self, items: Sequence[Item], at: int) -> Sequence[Item]:
        if not at and self._total(items) <= self._bytes:
            return items
        end, size = at, 0
        while end < len(items):
            size += self._size(items[end])
            if end > at and size > self._bytes:
                break
            end += 1
        return items[at:end]

    def _total(self, items: Sequence[Item]) -> int:
        return sum(map(self._size, items))

    def _limit(self, size: int) -> None:
        self._bytes = max(min(self._bytes, size), 1)
        self._passes = 0

    def _passed(self) -> None:
        self._passes += 1
        if self._bytes < self._most_bytes and self._passes >= BATCHES_BEFORE_GROWTH:
            self._bytes = min(2 * self._bytes, self._most_bytes)
            self._passes = 0
