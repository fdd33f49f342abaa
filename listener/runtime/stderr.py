"""The process's standard error, without waiting for whoever reads it.

A pipe that nobody empties, a terminal that is held or a file system that hangs makes a plain `write` wait,
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
    """Puts the process's `BackgroundWriter` in the place of `sys.stderr`, as early as possible.

    Whatever writes there then waits for nobody: logging, warnings, tracebacks, `print`. A stream that somebody
    else has put there, such as a test, stays. At the end of the process the buffer is written, within
    a second.
    """
    if sys.stderr is sys.__stderr__:
        sys.stderr = stream()


def current() -> TextIO:
    """Where log lines go: `sys.stderr` if somebody has replaced it, else the stream that never waits."""
    return stream() if sys.stderr is sys.__stderr__ else sys.stderr


def writer_of(text: TextIO) -> BackgroundWriter | None:
    """The writer below a text stream, or None if the stream is somebody else's."""
    below = getattr(text, "buffer", None)
    return below if isinstance(below, BackgroundWriter) else None


@cache
def writer() -> BackgroundWriter:
    """The one writer of this process."""
    if sys.__stderr__ is None:
        # Standard error was closed. A file or socket that got its number would be taken for it by children.
        _occupy(FD)
        made = BackgroundWriter(NO_FD)
    else:
        made = BackgroundWriter(FD)
    atexit.register(made.finish)
    return made


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
        nowhere = os.open(os.devnull, os.O_WRONLY)
        if nowhere != fd:
            os.dup2(nowhere, fd)
            os.close(nowhere)
