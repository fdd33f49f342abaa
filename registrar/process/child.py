"""COMMAND, the child process that receives the messages: started, signalled and reaped."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from listener.settings.secret_files import SUFFIX
from registrar.process.addresses import OUR_APPLICATION
from registrar.settings import CREDENTIAL_NAMES

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


# gunicorn looks for a configuration in its working directory alone; this one is found wherever the package is installed.
GUNICORN_VARIABLE = "GUNICORN_CMD_ARGS"
GUNICORN_CONFIGURATION = "--config=python:listener.gunicorn_conf"
GUNICORN_FILE = Path("gunicorn.conf.py")


class Child:
    """COMMAND in a session of its own, so that Ctrl-C in a terminal reaches us and not it."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        """See `start`."""
        self._process = process
        self._status: int | None = None
        self._terminated: set[bool] = set()

    @classmethod
    def start(cls, argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> "Child":
        """Starts COMMAND without the provider's credentials and their files' names. Call it before any thread is started.

        If our own process is killed, Linux sends COMMAND a SIGTERM; on other systems COMMAND goes on.

        Raises:
            OSError: COMMAND cannot be started.
        """
        return cls(
            subprocess.Popen(
                argv,
                env={
                    k: v
                    for k, v in environ.items()
                    if k.removesuffix(SUFFIX) not in CREDENTIAL_NAMES
                },
                start_new_session=True,
                # No thread runs yet, so code between fork and exec is safe.
                preexec_fn=_terminate_with_parent(os.getpid()),  # noqa: PLW1509
            )
        )

    @property
    def pid(self) -> int:
        """The process id, which is that of the process group as well."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status, 128 plus the number if a signal ended COMMAND; None: it runs."""
        return self._status

    @property
    def alive(self) -> bool:
        """Whether COMMAND runs, or another process of its group: a shell's child, a second gunicorn master."""
        return self._status is None or self._send_to_group(0)

    @property
    def terminated(self) -> bool:
        """Whether `terminate` was called."""
        return bool(self._terminated)

    def send(self, number: int) -> None:
        """Sends COMMAND a signal, if it still runs."""
        if self._status is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Sends SIGTERM once to COMMAND, and once to the rest of its group after COMMAND has ended."""
        ended = self._status is not None
        if ended in self._terminated:
            return
        self._terminated.add(ended)
        if ended:
            self._send_to_group(signal.SIGTERM)
        else:
            self.send(signal.SIGTERM)

    def kill(self) -> None:
        """Sends SIGKILL to COMMAND and its group."""
        self._send_to_group(signal.SIGKILL)

    def _send_to_group(self, number: int) -> bool:
        """Sends the group a signal, 0 for none; returns whether the group has a process that is ours to signal."""
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def set_wait_status(self, status: int) -> None:
        """Records the wait status that `waitpid` returned for COMMAND."""
        code = os.waitstatus_to_exitcode(status)
        self._status = code if code >= 0 else 128 - code
        # Popen would wait for a process that no longer exists.
        self._process.returncode = code


def gunicorn_environment(argv: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """What makes gunicorn take the service's configuration where COMMAND would find none.

    A `gunicorn.conf.py` in the working directory is left to gunicorn. An option `-c` in COMMAND or in the operator's
    own GUNICORN_CMD_ARGS comes later than ours, so gunicorn takes that one.
    """
    if OUR_APPLICATION not in " ".join(argv) or GUNICORN_FILE.exists():
        return {}
    options = f"{GUNICORN_CONFIGURATION} {environ.get(GUNICORN_VARIABLE, '')}".rstrip()
    return {GUNICORN_VARIABLE: options}


def reap(child: Child | None) -> None:
    """Reaps every child process that has ended: COMMAND, and, as process 1 or as a subreaper, orphans."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if child and pid == child.pid:
            child.set_wait_status(status)


def adopt_orphans() -> None:
    """Makes this process the parent of COMMAND's orphans, so that `reap` reaps them. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def _terminate_with_parent(parent: int) -> Callable[[], None]:
    """A function for the child before exec: Linux then sends the child SIGTERM when its parent dies."""
    if sys.platform != "linux":
        return lambda: None
    # Loaded here, because a fork must not load libraries.
    prctl = ctypes.CDLL(None).prctl

    def set_death_signal() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            # The parent was killed before the line above.
            os._exit(1)

    return set_death_signal
