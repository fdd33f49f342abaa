"""Catches signals into a pipe (set_wakeup_fd), where the main thread reads them as values."""

import os
import select
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

WAKE = b"\0"


class Signals:
    """The signals that arrived, in order; any thread may also wake the waiting one."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd

    def wait(self, timeout_s: float | None) -> list[int]:
        """The signals that arrived; empty after `timeout_s`, or when another thread called `wake`."""
        if not select.select([self._read_fd], [], [], timeout_s)[0]:
            return []
        return [number for number in os.read(self._read_fd, 4096) if number]

    def wake(self) -> None:
        """Ends a wait; from any thread."""
        try:
            os.write(self._write_fd, WAKE)
        except OSError:
            # The pipe is full, so the waiting thread is about to wake; or it is closed, at the end.
            pass


@contextmanager
def received(numbers: Iterable[int]) -> Iterator[Signals]:
    """Catches signals while the block runs. Only for the main thread.

    A child does not inherit this: a caught signal has its default effect in a program that the child executes.
    """
    read_fd, write_fd = os.pipe()
    os.set_blocking(read_fd, False)
    os.set_blocking(write_fd, False)
    # Python writes the number of each caught signal into the pipe.
    previous_fd = signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
    previous = {number: signal.signal(number, _ignore) for number in numbers}
    try:
        yield Signals(read_fd, write_fd)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(previous_fd)
        os.close(read_fd)
        os.close(write_fd)


def _ignore(_number: int, _frame: object) -> None:
    """Does nothing: Python has put the number into the pipe."""
