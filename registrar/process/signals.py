"""Signals as values: the main thread waits for them instead of being interrupted by them."""

import os
import select
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

WAKE = b"\0"


class Signals:
    """The signals that arrived, in order; any thread may also wake the one who waits."""

    def __init__(self, read: int, write: int) -> None:
        """Takes the two ends of a pipe."""
        self._read = read
        self._write = write

    def wait(self, timeout_s: float | None) -> list[int]:
        """What arrived; empty after the time, in seconds, or when another thread woke it."""
        if not select.select([self._read], [], [], timeout_s)[0]:
            return []
        return [number for number in os.read(self._read, 4096) if number]

    def wake(self) -> None:
        """Ends a wait; from any thread."""
        try:
            os.write(self._write, WAKE)
        except OSError:
            # The pipe is full, so the one who waits is about to wake; or it is closed, at the end.
            pass


@contextmanager
def received(numbers: Iterable[int]) -> Iterator[Signals]:
    """Catches signals while the block runs. Only for the main thread.

    A child does not inherit this: what is caught here is at its default in a program it executes.
    """
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    # Python writes the number of each caught signal into the pipe.
    previous_fd = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    previous = {number: signal.signal(number, _noted) for number in numbers}
    try:
        yield Signals(read, write)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(previous_fd)
        os.close(read)
        os.close(write)


def _noted(_number: int, _frame: object) -> None:
    """Python has put the number into the pipe; there is nothing to do here."""
