"""Supervises COMMAND and the registrar: forwards signals, ends both in order. Fit to be process 1."""

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
# gunicorn starts a second master on SIGUSR2. The registrar supervises one process, so the second master would outlive
# it and receive without a registration.
IGNORED = (signal.SIGUSR2,)
CAUGHT = (*ENDING, *FORWARDED, *IGNORED, signal.SIGCHLD)

# A killed COMMAND that the kernel does not end within this time is left behind.
GIVE_UP_S = 2.0
WRONG_SETTINGS = 2
KILLED = 128 + signal.SIGKILL
# The supervisor checks everything at least this often, in case a signal was lost.
CHECK_S = 5.0
# A process of COMMAND's group need not be our child, and then its end raises no signal here.
GROUP_CHECK_S = 0.2


class RegistrarThread(Protocol):
    """The reconcile loop's thread, as the supervisor uses it."""

    @property
    def running(self) -> bool:
        """Whether it still has to deregister."""

    @property
    def failed(self) -> bool:
        """Whether it ended by itself, because it can never register."""

    def stop(self, *, drain: bool) -> None:
        """Begins to deregister; `drain`: waits afterwards for messages that are still on their way to COMMAND."""

    def abort(self) -> None:
        """Gives that up."""


class Supervisor:
    """Runs until a signal or until COMMAND ends.

    The order of ending: the registrar's thread deregisters. Then COMMAND gets SIGTERM, whichever signal we got, because
    gunicorn cuts requests in flight on SIGINT and SIGQUIT. When COMMAND and its process group have ended, the supervisor
    returns COMMAND's status. `Timing.shutdown_s` limits all of it, `Timing.deregister_s` the deregistration; a second
    signal ends the deregistration and leaves COMMAND `Timing.second_signal_s`. Processes that remain at the end of the
    time are killed, and left behind if even that does not end them within two seconds.
    """

    def __init__(
        self,
        signals: Signals,
        child: Child | None,
        registrar: RegistrarThread | None,
        timing: Timing,
        clock: Callable[[], float] = time.monotonic,
        *,
        count: Callable[[], None] | None = None,
    ) -> None:
        """Takes what runs already; child or registrar may be missing. `count` is called every few seconds."""
        self._signals = signals
        self._child = child
        self._registrar = registrar
        self._timing = timing
        self._clock = clock
        self._count = count
        self._aborted = False
        self._killed = False
        self._registrar_until: float | None = None
        self._until: float | None = None

    def run(self) -> int:
        """Returns the exit status: COMMAND's, or 0 without COMMAND; 2 if the registrar can never register."""
        while not self._finished():
            for number in self._signals.wait(self._timeout_s()):
                self._on_signal(number)
            reap(self._child)
            self._step()
            if self._count:
                self._count()
        if self._child_alive:
            log.error("the command does not end although it was killed")
            return KILLED
        if self._registrar and self._registrar.failed:
            return WRONG_SETTINGS
        return self._child.status or 0 if self._child else 0

    def _finished(self) -> bool:
        if self._until is None or self._registrar_running:
            return False
        if not self._child_alive:
            return True
        return self._killed and self._clock() >= self._until + GIVE_UP_S

    @property
    def _child_alive(self) -> bool:
        """Whether COMMAND, or a process that it left in its group, is still there."""
        return self._child is not None and self._child.alive

    @property
    def _child_running(self) -> bool:
        return self._child is not None and self._child.status is None

    @property
    def _registrar_running(self) -> bool:
        """Whether the registrar's thread runs and its time is not over."""
        if self._registrar is None or not self._registrar.running:
            return False
        return self._registrar_until is None or self._clock() < self._registrar_until

    def _timeout_s(self) -> float:
        until = self._registrar_until if self._registrar_running else self._until
        if until is not None and self._killed:
            until += GIVE_UP_S
        check_s = GROUP_CHECK_S if self._child_alive and not self._child_running else CHECK_S
        return check_s if until is None else min(max(until - self._clock(), 0.0), check_s)

    def _on_signal(self, number: int) -> None:
        if number in FORWARDED and self._child:
            self._child.send(number)
        elif number in IGNORED:
            name = signal.Signals(number).name
            log.warning("signal ignored", signal=name, advice="start a new process instead")
        elif number in ENDING and self._until is None:
            log.info("stopping", signal=signal.Signals(number).name)
            self._start_shutdown()
        elif number in ENDING:
            self._shorten_shutdown(number)

    def _start_shutdown(self) -> None:
        self._until = self._clock() + self._timing.shutdown_s
        self._registrar_until = self._clock() + self._timing.deregister_s
        if self._registrar:
            # Drain only if COMMAND is ours and still running.
            self._registrar.stop(drain=self._child_running)

    def _shorten_shutdown(self, number: int) -> None:
        log.warning("hurrying", signal=signal.Signals(number).name)
        now = self._clock()
        self._registrar_until = now
        self._until = min(self._until or now, now + self._timing.second_signal_s)
        if self._child and self._child.terminated:
            self._child.send(signal.SIGTERM)

    def _step(self) -> None:
        if self._until is None:
            self._stop_after_failure()
        if self._until is None or self._registrar_running:
            return
        if self._registrar and self._registrar.running:
            self._abort(self._registrar)
        if self._child and self._child.alive:
            self._end(self._child, self._until)

    def _stop_after_failure(self) -> None:
        if self._child and not self._child_running:
            log.error("the command ended by itself", status=self._child.status)
            self._start_shutdown()
        elif self._registrar and self._registrar.failed:
            log.error("stopping", reason="the registrar ended")
            self._start_shutdown()

    def _abort(self, registrar: RegistrarThread) -> None:
        if not self._aborted:
            log.error(
                "deregistration timed out",
                limit_s=self._timing.deregister_s,
                advice="the URL may still be registered: see `status`, then `deregister`",
            )
        self._aborted = True
        registrar.abort()

    def _end(self, child: Child, until: float) -> None:
        if self._clock() < until:
            child.terminate()
        elif not self._killed:
            log.error("the command is killed: it did not end in time")
            self._killed = True
            child.kill()
