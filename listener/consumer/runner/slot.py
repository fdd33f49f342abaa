"""One of the supervisor's processes: starts it, reads its reports, signals it, and starts it again when it died."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from listener.consumer.runner import reports
from listener.consumer.runner.reports import STOP, STOP_AT_ONCE, HealthReport, Introduction
from listener.safe_logger import SafeLogger

log = SafeLogger("listener.consumer.runner")

MODULE = "listener.consumer.runner.worker_process"
FIRST_PAUSE_S = 1.0
MAX_PAUSE_S = 30.0
# A process that lived this long died by something new: the pauses begin again.
STABLE_S = 60.0
# Beyond shutdown_s, until a process that was asked to stop is killed: it hands back what it has, and
# Redis may not answer meanwhile.
STOP_MARGIN_S = 15.0
DUMP_S = 0.5


def pause_s(deaths: int) -> float:
    """Seconds before a process starts again that died that often in a row."""
    return float(min(MAX_PAUSE_S, FIRST_PAUSE_S * 2 ** min(deaths - 1, 10)))


class Slot:
    """A place for one process; its number stays when the process is replaced.

    Attributes:
        number: from 1.
        introduction: of the process that runs; None until it is ready.
        health: its last report.
        heard_at: when that came, in seconds of the monotonic clock.
        failures: how many processes died here, could not be started, or were replaced because they were no longer fit.
        ended: how the last process ended, as a sentence's end; empty at first.
        due_at: when the next process starts, if none runs.
    """

    def __init__(self, number: int, words: Callable[[int, int], Sequence[str]]) -> None:
        """`words`: the arguments of the process by its number and the descriptor of its socket."""
        self.number = number
        self._words = words
        self.introduction: Introduction | None = None
        self.health: HealthReport | None = None
        self.heard_at = 0.0
        self.failures = 0
        self.ended = ""
        self.due_at = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._buffer = b""
        self._deaths = 0
        self._started_at = 0.0
        self._kill_at: float | None = None

    @property
    def is_alive(self) -> bool:
        """Whether a process runs here."""
        return self._process is not None

    @property
    def is_ready(self) -> bool:
        """Whether its process has found the consumer, and was not asked to stop."""
        return self.introduction is not None and not self.was_asked

    @property
    def was_asked(self) -> bool:
        """Whether the process that runs was asked to stop, be it ready or not."""
        return self._kill_at is not None

    def start(self) -> None:
        """Starts a process; it stands in a group of its own, so that Ctrl-C reaches the supervisor alone.

        If the system refuses, for want of memory, processes or descriptors, that counts as a death: the next
        start is due after a pause.
        """
        try:
            self._start()
        except OSError as error:
            self.failures += 1
            self._deaths += 1
            self.due_at = time.monotonic() + pause_s(self._deaths)
            self.ended = f"could not be started ({error.strerror or error})"
            log.warning("process not started", process=self.number, detail=str(error))

    def _start(self) -> None:
        ours, its = socket.socketpair()
        ours.setblocking(False)
        words = [sys.executable, "-m", MODULE, *self._words(self.number, its.fileno())]
        try:
            with its:
                self._process = subprocess.Popen(words, pass_fds=[its.fileno()], process_group=0)
        except OSError:
            ours.close()
            raise
        self._socket, self._buffer = ours, b""
        self._started_at = self.heard_at = time.monotonic()

    def read(self) -> None:
        """Reads the reports that came."""
        while self._socket:
            try:
                data = self._socket.recv(65536)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                break
            *lines, self._buffer = (self._buffer + data).split(b"\n")
            for report in map(reports.decode, lines):
                self.heard_at = time.monotonic()
                if isinstance(report, Introduction):
                    self.introduction = report
                else:
                    self.health = report

    def reap(self) -> int | None:
        """The status of the process, once, after it ended; its next start is due after a pause."""
        if self._process is None:
            return None
        now = time.monotonic()
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at = now + STOP_MARGIN_S
            log.warning("process killed", process=self.number, pid=self._process.pid)
            self._send(signal.SIGKILL)
        status = self._process.poll()
        if status is None:
            return None
        was_asked = self.was_asked
        self.failures += not was_asked
        self._deaths = 0 if was_asked else 1 if self._is_stable(now) else self._deaths + 1
        self.due_at = now + (pause_s(self._deaths) if self._deaths else 0)
        self.ended = describe(status)
        self.close()
        return status

    def stop(self, *, at_once: bool = False) -> None:
        """Asks the process to stop: to finish what it has in hand, or to hand it back at once."""
        if self._process is None:
            return
        shutdown_s = self.introduction.shutdown_s if self.introduction and not at_once else 0
        kill_at = time.monotonic() + shutdown_s + STOP_MARGIN_S
        self._kill_at = min(kill_at, self._kill_at or kill_at)
        if self.introduction is None:
            self._send(signal.SIGTERM)
        else:
            self._ask(STOP_AT_ONCE if at_once else STOP)

    def replace(self) -> None:
        """Asks a process to stop that is no longer fit."""
        self.failures += 1
        self.stop()

    def kill_hung(self) -> None:
        """Has a process that does not react write where each of its threads is; `reap` then kills it."""
        self.failures += 1
        self._send(signal.SIGUSR2)
        self._kill_at = time.monotonic() + DUMP_S

    def close(self) -> None:
        """Forgets the process, which has ended."""
        if self._socket:
            self._socket.close()
        self._process = self._socket = self.introduction = self.health = self._kill_at = None

    def _is_stable(self, now: float) -> bool:
        return now - self._started_at >= STABLE_S

    def _ask(self, request: bytes) -> None:
        if self._socket:
            try:
                self._socket.send(request)
            except OSError:
                # It has ended, or reads no more: `reap` will see that, or kill it.
                pass

    def _send(self, number: int) -> None:
        if self._process:
            try:
                os.kill(self._process.pid, number)
            except ProcessLookupError:
                # It has ended; `reap` will see that.
                pass


def describe(status: int) -> str:
    """How a process ended, after `it`."""
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"
