"""Watches COMMAND and the registrar, and ends them in the right order. Fit to be process 1."""

import signal
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from registrar.process.child import Child, reap
from registrar.process.signals import Signals
from registrar.settings import Timing

log = structlog.get_logger("registrar")

# Container runtimes let an operator choose the stop signal, and images for gunicorn often name SIGQUIT.
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
FORWARDED = (signal.SIGHUP, signal.SIGUSR1, signal.SIGTTIN, signal.SIGTTOU)
# gunicorn starts a second master on SIGUSR2. The registrar supervises one process, so the second one would outlive it
# and receive without a registration.
IGNORED = (signal.SIGUSR2,)
CAUGHT = (*ENDING, *FORWARDED, *IGNORED, signal.SIGCHLD)

# A killed COMMAND that the kernel does not let go within so long is left behind.
GIVE_UP_S = 2.0
WRONG_SETTINGS = 2
KILLED = 128 + signal.SIGKILL
# A look round from time to time, whatever was missed.
LOOK_S = 5.0
# What is left of COMMAND's process group need not be our child, so its end raises no signal here.
GROUP_LOOK_S = 0.2


class RegistrarThread(Protocol):
    """The registrar's thread, as the supervisor sees it."""

    @property
    def running(self) -> bool:
        """Whether it still has to deregister."""

    @property
    def failed(self) -> bool:
        """Whether it ended by itself, because it can never register."""

    def stop(self, *, drain: bool) -> None:
        """Begins to deregister; drain: and waits then for what is still on its way to COMMAND."""

    def abort(self) -> None:
        """Gives that up."""


class Supervisor:
    """Runs until told to end, or until COMMAND ends by itself.

    The order of ending: the worker deregisters; only then COMMAND gets SIGTERM, whichever signal we got, because gunicorn
    cuts requests in flight on SIGINT and SIGQUIT; when COMMAND and its process group have ended, so do we, with
    COMMAND's status. A time limit bounds all of it, a part of it the deregistering; a second signal to stop ends
    the waiting for the worker and leaves COMMAND little time. What is left at the end of the time is killed, and left
    behind if even that does not end it within two seconds.
    """

    def __init__(
        self,
        signals: Signals,
        command: Child | None,
        worker: RegistrarThread | None,
        timing: Timing,
        clock: Callable[[], float] = time.monotonic,
        *,
        count: Callable[[], None] | None = None,
    ) -> None:
        """Takes what is started already; either may be missing. `count` is called every few seconds."""
        self._signals = signals
        self._command = command
        self._worker = worker
        self._timing = timing
        self._clock = clock
        self._count = count
        self._abandoned = False
        self._killed = False
        self._worker_until: float | None = None
        self._until: float | None = None

    def run(self) -> int:
        """Returns the exit status: COMMAND's, or 0 without one; 2 if the registrar can never register."""
        while not self._done():
            for number in self._signals.wait(self._patience()):
                self._take(number)
            reap(self._command)
            self._advance()
            if self._count:
                self._count()
        if self._runs:
            log.error("the command does not end although it was killed")
            return KILLED
        if self._worker and self._worker.failed:
            return WRONG_SETTINGS
        return self._command.status or 0 if self._command else 0

    def _done(self) -> bool:
        if self._until is None or self._waits_for_worker:
            return False
        return not self._runs or (self._killed and self._clock() >= self._until + GIVE_UP_S)

    @property
    def _runs(self) -> bool:
        """Whether COMMAND, or a process that it left in its group, is still there."""
        return self._command is not None and self._command.alive

    @property
    def _serves(self) -> bool:
        return self._command is not None and self._command.status is None

    @property
    def _waits_for_worker(self) -> bool:
        if self._worker is None or not self._worker.running:
            return False
        return self._worker_until is None or self._clock() < self._worker_until

    def _patience(self) -> float:
        until = self._worker_until if self._waits_for_worker else self._until
        if until is not None and self._killed:
            until += GIVE_UP_S
        look_s = GROUP_LOOK_S if self._runs and not self._serves else LOOK_S
        return look_s if until is None else min(max(until - self._clock(), 0.0), look_s)

    def _take(self, number: int) -> None:
        if number in FORWARDED and self._command:
            self._command.send(number)
        elif number in IGNORED:
            name = signal.Signals(number).name
            log.warning("signal ignored", signal=name, advice="start a new process instead")
        elif number in ENDING and self._until is None:
            self._begin(number)
        elif number in ENDING:
            self._hurry(number)

    def _begin(self, number: int | None) -> None:
        if number is not None:
            log.info("stopping", signal=signal.Signals(number).name)
        self._until = self._clock() + self._timing.shutdown_s
        self._worker_until = self._clock() + self._timing.deregister_s
        if self._worker:
            # A listener that is gone, or is not ours to stop, need not be waited for.
            self._worker.stop(drain=self._serves)

    def _hurry(self, number: int) -> None:
        log.warning("hurrying", signal=signal.Signals(number).name)
        now = self._clock()
        self._worker_until = now
        self._until = min(self._until or now, now + self._timing.second_signal_s)
        if self._command and self._command.terminated:
            self._command.send(signal.SIGTERM)

    def _advance(self) -> None:
        if self._command and not self._serves and self._until is None:
            log.error("the command ended by itself", status=self._command.status)
            self._begin(None)
        if self._worker and self._worker.failed and self._until is None:
            log.error("stopping", reason="the registrar ended")
            self._begin(None)
        if self._until is None or self._waits_for_worker:
            return
        if self._worker and self._worker.running:
            self._abandon(self._worker)
        if self._runs:
            self._end_command()

    def _abandon(self, worker: RegistrarThread) -> None:
        if not self._abandoned:
            log.error(
                "deregistration timed out",
                limit_s=self._timing.deregister_s,
                advice="the URL may still be registered: see `status`, then `deregister`",
            )
        self._abandoned = True
        worker.abort()

    def _end_command(self) -> None:
        assert self._command  # noqa: S101 (for the type checker: it runs)
        if self._until is None or self._clock() < self._until:
            self._command.terminate()
        elif not self._killed:
            log.error("the command is killed: it did not end in time")
            self._killed = True
            self._command.kill()
