"""The reader of a process's standard error: one that does not read, reads later, or goes away.

It imports none of our packages, so that system tests can use it.
"""

import fcntl
import os
import select
import threading
from typing import Self

# The smallest pipe that Linux makes, so that a test needs few lines to fill it.
PIPE_BYTES = 4096


class LogReader:
    """Holds a pipe for a process's standard error (`writer`) and reads nothing until `read_on`.

    A context manager; at its end both ends are closed.
    """

    def __init__(self, pipe_bytes: int = PIPE_BYTES) -> None:
        self._reader, self.writer = os.pipe()
        fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, pipe_bytes)
        self._pieces: list[bytes] = []
        self._reads: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close_writer()
        self.read_on()
        self.text_to_end()
        self.go_away()

    def fill(self) -> None:
        """Fills the pipe, so that the first further byte has to wait."""
        os.set_blocking(self.writer, False)
        try:
            while True:
                os.write(self.writer, b"." * PIPE_BYTES)
        except BlockingIOError:
            os.set_blocking(self.writer, True)

    def is_full(self) -> bool:
        """Whether a writer has to wait."""
        return not select.select([], [self.writer], [], 0)[1]

    def read_on(self) -> None:
        """Begins to read, and goes on until every writer has closed the pipe."""
        if self._reads is None and self._reader >= 0:
            self._reads = threading.Thread(target=self._read, daemon=True)
            self._reads.start()

    def go_away(self) -> None:
        """Closes the reading end: a process that writes then gets EPIPE. Not while `read_on` runs."""
        if self._reader >= 0:
            os.close(self._reader)
            self._reader = -1

    def close_writer(self) -> None:
        """Closes our copy of the writing end, so that the reader sees the end of the others'."""
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1

    def text(self) -> str:
        """What was read until now."""
        return b"".join(self._pieces).decode()

    def text_to_end(self, timeout_s: float = 30.0) -> str:
        """All that was written, once every process that holds the pipe has ended."""
        if self._reads:
            self._reads.join(timeout_s)
            assert not self._reads.is_alive(), "somebody still holds the pipe"
        return self.text()

    def _read(self) -> None:
        while piece := os.read(self._reader, 65536):
            self._pieces.append(piece)
