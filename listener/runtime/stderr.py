"""Replaces the process's standard error by a stream that never waits for its reader.

A pipe that nobody reads, a terminal that is held or a file system that hangs makes a plain `write` wait,
and under gevent that stops the whole process. `replace` puts a `BackgroundWriter` in its place.
"""

import atexit
import io
import os
import sys
from functools import cache
from typing import Any, TextIO

from listener.runtime.background_writer import BackgroundWriter

FD = 2
NO_FD = -1


def replace() -> None:
    """Puts the process's `BackgroundWriter` in the place of `sys.stderr`; to be called as early as possible.

    From then on logging, warnings, tracebacks and `print` do not wait. A stream that somebody else has put
    there, such as a test, stays. At the end of the process the buffer is written, within a second.
    """
    if sys.stderr is sys.__stderr__:
        sys.stderr = stream()


def current() -> TextIO:
    """Where log lines go: `sys.stderr` if somebody has replaced it, else the stream that never waits."""
    return stream() if sys.stderr is sys.__stderr__ else sys.stderr


def writer_of(text: TextIO) -> BackgroundWriter | None:
    """The writer below a text stream, or None if the stream is somebody else's."""
    buffer = getattr(text, "buffer", None)
    return buffer if isinstance(buffer, BackgroundWriter) else None


@cache
def writer() -> BackgroundWriter:
    """The one writer of this process."""
    if sys.__stderr__ is None:
        # Standard error was closed. Children would write to a file or socket that got its number.
        _occupy(FD)
        background_writer = BackgroundWriter(NO_FD)
    else:
        background_writer = BackgroundWriter(FD)
    atexit.register(background_writer.finish)
    return background_writer


@cache
def stream() -> TextIO:
    """The text stream over `writer`."""
    encoding = getattr(sys.__stderr__, "encoding", "utf-8")
    # Directly over the raw stream, as Python itself does with `-u`.
    raw: Any = writer()
    return io.TextIOWrapper(raw, encoding, "backslashreplace", write_through=True)


def _occupy(fd: int) -> None:
    try:
        os.fstat(fd)
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        if null != fd:
            os.dup2(null, fd)
            os.close(null)
