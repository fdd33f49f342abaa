"""Child processes and their logs."""

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Self

import psutil

from testbed.polling import DEADLINE_S

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


class ChildProcess:
    """A child in a session of its own, with a log; a context manager that starts it and leaves nothing.

    Ctrl-C in a terminal does not reach it, so that its parent decides when it ends.

    Args:
        command: the program, looked up on the PATH of `environ`, and its arguments.
        environ: its whole environment; None: that of this process.
        log: the file that its output is appended to, kept afterwards; None: a temporary one.

    Attributes:
        process: the child of the last start.
        folder: set before the start, its working directory in place of the repository's root.
        stdin: likewise, a file descriptor or subprocess's constant.
        stdout: likewise; None: the log.
        stderr: likewise; None: the log.
    """

    folder: Path = ROOT
    stdin: int = subprocess.DEVNULL
    stdout: int | None = None
    stderr: int | None = None

    def __init__(
        self,
        *command: str | Path,
        environ: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        self.process: subprocess.Popen[str] | None = None
        self._command = command
        self._environ = environ
        self._log = log.open("a+") if log else log_file()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Starts it, or starts it again; the log goes on."""
        self.process = subprocess.Popen(
            self._command,
            cwd=self.folder,
            env=self._environ,
            stdin=self.stdin,
            stdout=self._log if self.stdout is None else self.stdout,
            stderr=self._log if self.stderr is None else self.stderr,
            text=True,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Its process id, also after its end."""
        assert self.process is not None
        return self.process.pid

    @property
    def output(self) -> IO[str]:
        """The pipe that `stdout = subprocess.PIPE` asked for."""
        assert self.process is not None
        assert self.process.stdout is not None
        return self.process.stdout

    def ended(self) -> bool:
        """Whether it has ended, or was never started."""
        return self.process is None or self.process.poll() is not None

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Sends it a signal; does nothing if it has ended."""
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, timeout_s: float = DEADLINE_S) -> int:
        """Waits for its end; its exit status. Raises subprocess.TimeoutExpired."""
        assert self.process is not None
        return self.process.wait(timeout_s)

    def stop(self, timeout_s: float = DEADLINE_S) -> int:
        """Ends it with SIGTERM, and with SIGKILL if it takes longer than `timeout_s`; its exit status."""
        self.signal()
        try:
            return self.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.wait()

    def kill(self) -> None:
        """Ends it and all its descendants with SIGKILL, frozen or not; returns once it is dead."""
        if self.process is None:
            return
        for process in self.family():
            try:
                process.kill()
            except psutil.NoSuchProcess:
                # It ended in the meantime.
                pass
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()

    def close(self) -> None:
        """Kills it, and closes its log."""
        self.kill()
        self._log.close()

    def family(self) -> list[psutil.Process]:
        """The process and all its descendants that are alive."""
        if self.ended():
            return []
        try:
            first = psutil.Process(self.pid)
            return [first, *first.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def log(self) -> str:
        """All that it and its children have written to the log."""
        descriptor = self._log.fileno()
        # Not by its file position, which the child shares and moves to the end whenever it writes.
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode(errors="replace")


def log_file() -> IO[str]:
    """A temporary file that processes may write to while a test reads it; the caller closes it.

    Reading moves the file position that they share; in append mode that does not change where they
    write. The mode given to tempfile is not enough: it has opened the file before it looks at the mode.
    """
    file = tempfile.TemporaryFile("a+")  # noqa: SIM115 - the caller's
    fcntl.fcntl(file, fcntl.F_SETFL, os.O_APPEND)
    return file
