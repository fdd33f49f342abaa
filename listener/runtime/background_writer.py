"""BackgroundWriter: a stream that never waits, with a bounded buffer that a native thread writes out.

A line that finds no room in the buffer, or that cannot be written, is lost and counted, and a line of its own
says later how many were lost. The file descriptor itself stays blocking, because other processes share it.
"""

import io
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from listener.runtime.descriptor_writer import PIPE_PIECE_BYTES, DescriptorWriter
from listener.runtime.native_thread import unpatched

# Bounds of the buffer, per process.
MAX_LINES = 10_000
MAX_BYTES = 4 * 2**20
# The thread pauses after a write. At each write the thread that serves requests gives up the interpreter and waits
# to get it back, so a busy process writes many lines together, fifty times a second.
PAUSE_S = 0.02
# How long the end of the process waits for what is still in the buffer.
EXIT_TIMEOUT_S = 1.0


class LossReport(bytes):
    """A line that says how many lines were lost before it; they count as unreported until it is written."""

    lost: int


class BackgroundWriter(io.RawIOBase):
    """Writes to a file descriptor in a native thread of its own, one for each process.

    Guaranteed: no method waits for the descriptor but `finish`, which is bounded; lines keep their order,
    and a line of up to 4 KiB is written in one piece. It may be called from any thread or greenlet, from a
    signal handler and during garbage collection. A forked child begins with an empty buffer.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.describe_loss: Callable[[int], bytes] = b"%d log lines lost\n".__mod__
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        # In a process that was just forked, locks may be held and the thread is missing.
        self._descriptor = DescriptorWriter(self._fd)
        self._mutex = unpatched("_thread", "RLock")()
        self._queue = unpatched("queue", "SimpleQueue")()
        self._is_running = False
        self._is_finished = False
        # The beginning of a line without its end: `print` writes the newline by itself.
        self._partial_line = b""
        self._buffered_bytes = 0
        # Lost lines that no report in the log has, and that no call of `take_lost` had.
        self._unreported = 0
        self._uncounted = 0
        # Whether the last write failed.
        self._is_failing = False

    def write(self, data: Any) -> int:
        """Takes text; it goes into the buffer once its line is complete."""
        text = bytes(data)
        with self._mutex:
            if self._partial_line or not text.endswith(b"\n"):
                text = self._complete_lines(text)
            if text:
                self._enqueue(text)
        return len(data)

    def flush(self) -> None:
        """Shows a prompt on a terminal; otherwise does nothing, since a line is written in one piece."""
        if self._partial_line and self.isatty():
            with self._mutex:
                self._enqueue(self._take_partial_line())

    def fileno(self) -> int:
        """The descriptor, for child processes."""
        return self._fd

    def writable(self) -> bool:
        """Always."""
        return True

    def isatty(self) -> bool:
        """Whether the descriptor is a terminal."""
        return os.isatty(self._fd)

    def take_lost(self) -> int:
        """How many lines this process lost since the last call."""
        with self._mutex:
            lost, self._uncounted = self._uncounted, 0
        return lost

    def finish(self, timeout_s: float = EXIT_TIMEOUT_S) -> None:
        """Waits until the buffer is written, but no longer than this. For the end of the process.

        What is written later goes out at once, or nowhere if it would have to wait.
        """
        with self._mutex:
            if self._partial_line:
                self._enqueue(self._take_partial_line() + b"\n")
            self._enqueue_report()
        deadline = time.monotonic() + timeout_s
        while self._buffered_bytes and self._is_running and time.monotonic() < deadline:
            unpatched("time", "sleep")(0.002)
        self._is_finished = True
        while not (self._is_running or self._queue.empty()):
            # No thread could be started so late.
            self._descriptor.write_at_once(self._queue.get())

    def _take_partial_line(self) -> bytes:
        line, self._partial_line = self._partial_line, b""
        return line

    def _complete_lines(self, text: bytes) -> bytes:
        """All up to the last newline; the rest is kept until its own newline comes."""
        text = self._partial_line + text
        end = len(text) if len(text) > PIPE_PIECE_BYTES else text.rfind(b"\n") + 1
        self._partial_line = text[end:]
        return text[:end]

    def _enqueue(self, lines: bytes) -> None:
        if self._is_finished:
            self._descriptor.write_at_once(lines)
        elif self._has_room(len(lines)):
            if self._unreported:
                self._enqueue_report()
            self._append(lines)
        else:
            self._count_lost(1)

    def _has_room(self, size: int) -> bool:
        # After a loss, wait until half of the buffer is free, or every second line would be a report.
        share = 2 if self._unreported else 1
        is_small = self._buffered_bytes + size <= MAX_BYTES // share
        return is_small and self._queue.qsize() < MAX_LINES // share

    def _append(self, lines: bytes) -> None:
        self._buffered_bytes += len(lines)
        self._queue.put(lines)
        if not self._is_running:
            self._start_thread()

    def _count_lost(self, lines: int) -> None:
        self._unreported += lines
        self._uncounted += lines

    def _enqueue_report(self) -> None:
        if self._unreported and not self._is_failing:
            lost, self._unreported = self._unreported, 0
            report = LossReport(self.describe_loss(lost))
            report.lost = lost
            self._append(report)

    def _start_thread(self) -> None:
        self._is_running = True
        try:
            unpatched("_thread", "start_new_thread")(self._run, ())
            _finish_in_child(self.finish)
        except RuntimeError:
            # There are too many threads, or the interpreter is about to end: the next line tries again.
            self._is_running = False

    def _run(self) -> None:
        try:
            self._write_forever()
        finally:
            # There was no memory, for instance: the next line starts another thread.
            self._is_running = False

    def _write_forever(self) -> None:
        line = self._queue.get()
        while True:
            lines, line = self._gather(line)
            self._write_lines(lines)
            if line is None:
                with self._mutex:
                    self._enqueue_report()
                unpatched("time", "sleep")(PAUSE_S)
                line = self._queue.get()

    def _gather(self, first: bytes) -> tuple[list[bytes], bytes | None]:
        """The lines to write in one piece, and the line after them, if that one did not fit."""
        lines, size = [first], len(first)
        while not self._queue.empty():
            line = self._queue.get()
            size += len(line)
            if size > self._descriptor.piece_bytes:
                return lines, line
            lines.append(line)
        return lines, None

    def _write_lines(self, lines: list[bytes]) -> None:
        data = b"".join(lines)
        written = self._descriptor.write(data)
        with self._mutex:
            self._buffered_bytes -= len(data)
            self._is_failing = written < len(data)
            for line in lines if self._is_failing else ():
                written -= len(line)
                if written < 0:
                    self._count_unwritten(line)

    def _count_unwritten(self, line: bytes) -> None:
        if isinstance(line, LossReport):
            self._unreported += line.lost
        else:
            self._count_lost(1)


def _finish_in_child(finish: Callable[[], None]) -> None:
    """Has multiprocessing call it at the end of a child, which never comes to `atexit`."""
    util = sys.modules.get("multiprocessing.util")
    if util and sys.modules["multiprocessing.process"].parent_process():
        util.Finalize(None, finish, exitpriority=0)
