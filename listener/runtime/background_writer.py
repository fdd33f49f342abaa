"""A stream whose writes never wait: a bounded buffer, and a native thread that writes it out.

A line that finds no room in the buffer, or that cannot be written, is lost and counted, and a line of its own
says later how many were lost. The file descriptor itself stays blocking, because other processes share it.
"""

import importlib
import io
import os
import select
import stat
import sys
import time
from collections.abc import Callable
from functools import cache
from typing import Any

NEWLINE = 10
# Bounds of the buffer, per process.
LINES = 10_000
BYTES = 4 * 2**20
# A pipe takes this much in one piece, so lines of processes that share it never mix.
PIECE_BYTES = select.PIPE_BUF
# A file that is opened for appending takes any piece whole.
FILE_PIECE_BYTES = 64 * 1024
# After a write the thread pauses. At each write the thread that serves requests gives up the interpreter and waits to get
# it back, so a busy process writes many lines together, fifty times a second.
PAUSE_S = 0.02
# How long the end of the process waits for what is still in the buffer.
EXIT_S = 1.0


class Report(bytes):
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
        self._piece_bytes = FILE_PIECE_BYTES if _is_file(fd) else PIECE_BYTES
        self.describe_loss: Callable[[int], bytes] = b"%d log lines lost\n".__mod__
        self._start_anew()
        os.register_at_fork(after_in_child=self._start_anew)

    def _start_anew(self) -> None:
        # Locks may be held, and the thread is missing, in a process that was just forked.
        self._mutex = _native("_thread", "RLock")()
        self._queue = _native("queue", "SimpleQueue")()
        self._running = False
        self._finished = False
        # The beginning of a line whose end is not there yet: `print` writes the newline by itself.
        self._begun = b""
        self._held = 0
        self._unreported = 0
        self._uncounted = 0
        # Whether the last write failed, and whether it ended within a line.
        self._failing = False
        self._cut = False

    def write(self, data: Any) -> int:
        """Takes text; it goes on its way once its line is complete."""
        text = bytes(data)
        with self._mutex:
            if self._begun or not text.endswith(b"\n"):
                text = self._complete(text)
            if text:
                self._put(text)
        return len(data)

    def flush(self) -> None:
        """Shows a prompt on a terminal; otherwise does nothing, since a line is written in one piece."""
        if self._begun and self.isatty():
            with self._mutex:
                begun, self._begun = self._begun, b""
                self._put(begun)

    def fileno(self) -> int:
        """The descriptor, for child processes."""
        return self._fd

    def writable(self) -> bool:
        """Always."""
        return True

    def isatty(self) -> bool:
        """Whether somebody may be looking."""
        return os.isatty(self._fd)

    def take_lost(self) -> int:
        """How many lines this process lost since the last call."""
        with self._mutex:
            lost, self._uncounted = self._uncounted, 0
        return lost

    def finish(self, timeout_s: float = EXIT_S) -> None:
        """Waits until the buffer is written, but no longer than this. For the end of the process.

        What is written later goes out at once, or nowhere if it would have to wait.
        """
        with self._mutex:
            if self._begun:
                begun, self._begun = self._begun, b""
                self._put(begun + b"\n")
            self._report()
        ends = time.monotonic() + timeout_s
        while self._held and self._running and time.monotonic() < ends:
            _native("time", "sleep")(0.002)
        self._finished = True
        while not (self._running or self._queue.empty()):
            # No thread could be started so late.
            self._write_at_once(self._queue.get())

    def _complete(self, text: bytes) -> bytes:
        """All up to the last end of a line; the rest waits for its own."""
        text = self._begun + text
        end = len(text) if len(text) > PIECE_BYTES else text.rfind(b"\n") + 1
        self._begun = text[end:]
        return text[:end]

    def _put(self, lines: bytes) -> None:
        if self._finished:
            self._write_at_once(lines)
        elif self._has_room(len(lines)):
            if self._unreported:
                self._report()
            self._append(lines)
        else:
            self._lose(1)

    def _has_room(self, size: int) -> bool:
        # After a loss, wait until half of the buffer is free, or every second line would be a report.
        share = 2 if self._unreported else 1
        return self._held + size <= BYTES // share and self._queue.qsize() < LINES // share

    def _append(self, lines: bytes) -> None:
        self._held += len(lines)
        self._queue.put(lines)
        if not self._running:
            self._start_thread()

    def _lose(self, lines: int) -> None:
        self._unreported += lines
        self._uncounted += lines

    def _report(self) -> None:
        if self._unreported and not self._failing:
            lost, self._unreported = self._unreported, 0
            report = Report(self.describe_loss(lost))
            report.lost = lost
            self._append(report)

    def _start_thread(self) -> None:
        self._running = True
        try:
            _native("_thread", "start_new_thread")(self._write_on, ())
            _finish_in_child(self.finish)
        except RuntimeError:
            # There are too many threads, or the interpreter is about to end: the next line tries again.
            self._running = False

    def _write_on(self) -> None:
        try:
            self._write_lines_for_ever()
        finally:
            # There was no memory, for instance: the next line starts another thread.
            self._running = False

    def _write_lines_for_ever(self) -> None:
        line = self._queue.get()
        while True:
            lines, line = self._gather(line)
            self._write_lines(lines)
            if line is None:
                with self._mutex:
                    self._report()
                _native("time", "sleep")(PAUSE_S)
                line = self._queue.get()

    def _gather(self, first: bytes) -> tuple[list[bytes], bytes | None]:
        """What goes out in one piece, and the line after it, if that one did not fit."""
        lines, size = [first], len(first)
        while not self._queue.empty():
            line = self._queue.get()
            size += len(line)
            if size > self._piece_bytes:
                return lines, line
            lines.append(line)
        return lines, None

    def _write_lines(self, lines: list[bytes]) -> None:
        data = b"".join(lines)
        written = self._write_data(data)
        with self._mutex:
            self._held -= len(data)
            self._failing = written < len(data)
            for line in lines if self._failing else ():
                written -= len(line)
                if written < 0:
                    self._note_lost(line)

    def _note_lost(self, line: bytes) -> None:
        if isinstance(line, Report):
            self._unreported += line.lost
        else:
            self._lose(1)

    def _write_data(self, data: bytes) -> int:
        """Writes, however long that takes; returns the bytes that were written before an error, or all."""
        start = b"\n" if self._cut else b""
        left = memoryview(start + data)
        try:
            while left:
                left = left[self._write_some(left) :]
        except OSError:
            # The reader is gone, the disk is full, the descriptor is closed.
            pass
        written = max(len(data) - len(left), 0)
        if written:
            self._cut = data[written - 1] != NEWLINE
        return written

    def _write_some(self, data: memoryview) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            # Another process that shares the descriptor has made it non-blocking.
            _native("time", "sleep")(PAUSE_S)
            return 0

    def _write_at_once(self, lines: bytes) -> None:
        """Writes what can be written without waiting; at the end of the process, when the thread is gone."""
        poll = _native("select", "poll")()
        try:
            poll.register(self._fd, select.POLLOUT)
            for start in range(0, len(lines), PIECE_BYTES):
                if poll.poll(0):
                    os.write(self._fd, lines[start : start + PIECE_BYTES])
        except (OSError, ValueError):
            # As above; and there is no later in which it could be reported.
            pass


def _is_file(fd: int) -> bool:
    try:
        return stat.S_ISREG(os.fstat(fd).st_mode)
    except OSError:
        return False


@cache
def _native(module: str, name: str) -> Any:
    """What gevent's monkey patching replaces in the standard library, unpatched, where there is gevent."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey:
        return monkey.get_original(module, name)
    return getattr(importlib.import_module(module), name)


def _finish_in_child(finish: Callable[[], None]) -> None:
    """Has multiprocessing call it at the end of a child, which never comes to `atexit`."""
    util = sys.modules.get("multiprocessing.util")
    if util and sys.modules["multiprocessing.process"].parent_process():
        util.Finalize(None, finish, exitpriority=0)
