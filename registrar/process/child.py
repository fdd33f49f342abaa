"""COMMAND: the process that receives, started and watched by ours."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

from registrar.settings import CREDENTIAL_NAMES

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


class Child:
    """COMMAND in a session of its own, so that Ctrl-C in a terminal reaches us and not it."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        """See `start`."""
        self._process = process
        self._status: int | None = None
        self._terminated: set[bool] = set()

    @classmethod
    def start(cls, argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> "Child":
        """Starts it without the provider's credentials. Call it before any thread is started.

        If our own process is killed, Linux sends it SIGTERM; elsewhere it goes on by itself.

        Raises:
            OSError: it cannot be started.
        """
        return cls(
            subprocess.Popen(
                argv,
                env={k: v for k, v in environ.items() if k not in CREDENTIAL_NAMES},
                start_new_session=True,
                # No thread runs yet, so what is done between fork and exec is safe.
                preexec_fn=_terminate_with_parent(os.getpid()),  # noqa: PLW1509
            )
        )

    @property
    def pid(self) -> int:
        """Its process id, which is that of its group as well."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Its exit status, 128 plus the number of a signal that ended it; None: it runs."""
        return self._status

    @property
    def alive(self) -> bool:
        """Whether it runs, or a process that it left behind in its group: a shell's child, a second gunicorn master."""
        return self._status is None or self._send_to_group(0)

    @property
    def terminated(self) -> bool:
        """Whether `terminate` was called."""
        return bool(self._terminated)

    def send(self, number: int) -> None:
        """Sends it a signal, if it still runs."""
        if self._status is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Sends SIGTERM, once, to COMMAND; once COMMAND has ended, to what is left of its group."""
        ended = self._status is not None
        if ended in self._terminated:
            return
        self._terminated.add(ended)
        if ended:
            self._send_to_group(signal.SIGTERM)
        else:
            self.send(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it and all of its group that is left, at once."""
        self._send_to_group(signal.SIGKILL)

    def _send_to_group(self, number: int) -> bool:
        """Whether there is still a process in the group, which gets the signal; 0 is none."""
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            # Gone, or nothing in it is ours to signal.
            return False
        return True

    def set_wait_status(self, status: int) -> None:
        """Takes what `waitpid` told of it."""
        code = os.waitstatus_to_exitcode(status)
        self._status = code if code >= 0 else 128 - code
        # So that Popen does not wait for a process that is no more.
        self._process.returncode = code


def reap(command: Child | None) -> None:
    """Collects every child that has ended: COMMAND, and, as process 1, orphans that came to us."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if command and pid == command.pid:
            command.set_wait_status(status)


def adopt_orphans() -> None:
    """Makes this process the parent of what COMMAND leaves behind, so that `reap` collects it. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def _terminate_with_parent(parent: int) -> Callable[[], None]:
    """What COMMAND does before it becomes itself; loaded here, because a fork must not load."""
    if sys.platform != "linux":
        return _nothing
    prctl = ctypes.CDLL(None).prctl

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            # Ours was killed before the line above: nobody is there to serve.
            os._exit(1)

    return ask


def _nothing() -> None:
    """There is no such thing outside Linux."""
