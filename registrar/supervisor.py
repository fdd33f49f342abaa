"""Watches COMMAND and the registrar, and ends them in the right order. Fit to be process 1."""

import signal
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from registrar.command import Command, reap
from registrar.settings import Timing
from registrar.signals import Signals

log = structlog.get_logger("registrar")

ENDING = (signal.SIGTERM, signal.SIGINT)
FORWARDED = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU)
CAUGHT = (*ENDING, *FORWARDED, signal.SIGCHLD)

# A killed COMMAND that the kernel does not let go within so long is left behind.
GIVE_UP_S = 2.0
KILLED = 128 + signal.SIGKILL
# A look round from time to time, whatever was missed.
LOOK_S = 5.0


class Worker(Protocol):
    """The registrar's thread, as the supervisor sees it."""

    @property
    def running(self) -> bool:
        """Whether it still has to deregister."""

    def stop(self, *, lingers: bool) -> None:
        """Begins to deregister; lingers: and waits then for what is still on its way to COMMAND."""

    def abandon(self) -> None:
        """Gives that up."""


class Supervisor:
    """Runs until told to end, or until COMMAND ends by itself.

    The order of ending: the worker deregisters; only then the signal goes to COMMAND; when COMMAND
    has ended, so do we, with its status. A time limit bounds all of it, a part of it the
    deregistering; a second SIGTERM or SIGINT ends the waiting for the worker and leaves COMMAND
    little time. What is left at the end of the time is killed, and left behind if even that does not end
    it within two seconds.
    """

    def __init__(
        self,
        signals: Signals,
        command: Command | None,
        worker: Worker | None,
        timing: Timing,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Takes what is started already; either may be missing."""
        self._signals = signals
        self._command = command
        self._worker = worker
        self._timing = timing
        self._clock = clock
        self._signal: int | None = None
        self._passed_on = False
        self._killed = False
        self._worker_until: float | None = None
        self._until: float | None = None

    def run(self) -> int:
        """Returns the exit status: COMMAND's, or 0 without one."""
        while not self._done():
            for number in self._signals.wait(self._patience()):
                self._take(number)
            reap(self._command)
            self._advance()
        if self._runs:
            log.error("the command does not end although it was killed")
            return KILLED
        return self._command.status or 0 if self._command else 0

    def _done(self) -> bool:
        if self._until is None or self._waits_for_worker:
            return False
        return not self._runs or (self._killed and self._clock() >= self._until + GIVE_UP_S)

    @property
    def _runs(self) -> bool:
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
        return LOOK_S if until is None else min(max(until - self._clock(), 0.0), LOOK_S)

    def _take(self, number: int) -> None:
        if number in FORWARDED and self._command:
            self._command.send(number)
        elif number in ENDING and self._until is None:
            self._begin(number)
        elif number in ENDING:
            self._hurry(number)

    def _begin(self, number: int | None) -> None:
        if number is not None:
            log.info("stopping", signal=signal.Signals(number).name)
        self._signal = number
        self._until = self._clock() + self._timing.shutdown_s
        self._worker_until = self._clock() + self._timing.farewell_s
        if self._worker:
            # A listener that is gone, or is not ours to stop, need not be waited for.
            self._worker.stop(lingers=self._runs)

    def _hurry(self, number: int) -> None:
        log.warning("hurrying", signal=signal.Signals(number).name)
        now = self._clock()
        self._worker_until = now
        self._until = min(self._until or now, now + self._timing.hurry_s)
        if self._passed_on and self._command:
            self._command.send(number)

    def _advance(self) -> None:
        if self._command and not self._runs and self._until is None:
            log.error("the command ended by itself", status=self._command.status)
            self._begin(None)
        if self._until is None or self._waits_for_worker:
            return
        if self._worker and self._worker.running:
            self._worker.abandon()
        if self._runs:
            self._end_command()

    def _end_command(self) -> None:
        assert self._command  # noqa: S101 (for the type checker: it runs)
        if not self._passed_on:
            self._passed_on = True
            self._command.send(self._signal or signal.SIGTERM)
        elif not self._killed and self._until is not None and self._clock() >= self._until:
            log.error("the command is killed: it did not end in time")
            self._killed = True
            self._command.kill()
