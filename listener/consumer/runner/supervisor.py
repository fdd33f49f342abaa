"""Keeps the processes of `fota consume` running: starts, watches, replaces and stops them."""

import os
import queue
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType

from listener.consumer.runner.slot import Slot
from listener.consumer.runner.verdict import problem
from listener.safe_logger import SafeLogger

log = SafeLogger("listener.consumer.runner")

STEP_S = 0.1
# Beyond takeover_idle_s: its messages belong to others by then, and nothing is lost by killing it.
HUNG_MARGIN_S = 10.0
# A step that came this late found the supervisor itself suspended: it heard nobody meanwhile.
SUSPENDED_S = 5.0
# A step takes a fraction of a second, and a few where many processes start at once on a busy machine.
STALLED_S = 30.0
# A platform sends them to all processes at once. One that imports its module ends by them, perhaps before the
# supervisor has received its own: that is no mistake of the program.
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Supervisor:
    """Runs until a signal: SIGTERM and SIGINT once drain, twice end at once; SIGHUP restarts one by one.

    Guaranteed: a process that dies is started again, after a pause that grows from 1 to 30 seconds; a
    process that keeps a handler beyond its time, has lost a thread or hangs is replaced; `run` returns
    within the consumer's shutdown_s and fifteen seconds. Before any process was ready, one that ends by
    itself ends it all, with that status: no restart mends a wrong name.
    """

    def __init__(
        self,
        slots: Sequence[Slot],
        *,
        on_step: Callable[[str | None], object],
        on_death: Callable[[str], object],
        changed: Callable[[], str | None] | None = None,
    ) -> None:
        """Starts nothing yet.

        Args:
            slots: one for each process.
            on_step: is called with what is wrong, several times a second.
            on_death: is called when a process ended, with what names its files of metrics; empty if it ended
                before it was ready.
            changed: for development: names a file that changed since the last call.
        """
        self._slots = slots
        self._on_step = on_step
        self._on_death = on_death
        self._changed = changed
        self._signals: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._to_restart: deque[Slot] = deque()
        self._restarting: Slot | None = None
        self._was_ready = False
        self._has_terminal = os.isatty(0)
        self._failed = False
        self._stops = 0
        self._status: int | None = None
        self._problem: str | None = ""
        self._stepped_at = time.monotonic()

    def run(self) -> int:
        """Returns the exit status."""
        self._catch_signals()
        log.info("supervisor started", processes=len(self._slots), pid=os.getpid())
        while self._status is None:
            self.step()
            with suppress(queue.Empty):
                self._take_signal(self._signals.get(timeout=STEP_S))
        log.info("supervisor stopped", status=self._status)
        return self._status

    def problem(self) -> str | None:
        """What is wrong now, in a sentence; None: every process consumes. May be called by any thread."""
        return problem(self._slots, time.monotonic(), stopping=self._stops > 0)

    def stall(self) -> str | None:
        """Whether the supervisor itself works: None, or how long it has done nothing. May be called by any thread."""
        silent_s = time.monotonic() - self._stepped_at
        return (
            f"the supervisor has done nothing for {silent_s:.0f} s"
            if silent_s > STALLED_S
            else None
        )

    def step(self) -> None:
        """Does what is due."""
        now = time.monotonic()
        was_suspended = now - self._stepped_at > SUSPENDED_S
        self._stepped_at = now
        for slot in self._slots:
            slot.read()
            if was_suspended:
                slot.heard_at = now
            self._was_ready = self._was_ready or slot.is_ready
            self._reap(slot)
        if self._stops:
            if not any(slot.is_alive for slot in self._slots):
                self._status = 0 if self._status is None else self._status
        elif self._status is None:
            self._check_files()
            self._restart_next()
            self._start_due(now)
            self._replace_unfit(now)
        self._report()

    def _catch_signals(self) -> None:
        def note(number: int, _frame: FrameType | None) -> None:
            self._signals.put(number)

        for number in STOP_SIGNALS:
            signal.signal(number, note)
        # nohup has it ignored.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, note)

    def _take_signal(self, number: int) -> None:
        name = signal.Signals(number).name
        if number == signal.SIGHUP and self._stops:
            return
        # A terminal that is closed sends it too: nobody is there any more.
        if number == signal.SIGHUP and not self._has_terminal:
            log.info("restarting processes", signal=name)
            self._restart_all()
            return
        self._stops += 1
        log.info("stopping", signal=name, at_once=self._stops > 1)
        for slot in self._slots:
            slot.stop(at_once=self._stops > 1)

    def _reap(self, slot: Slot) -> None:
        files = slot.introduction.metric_files if slot.introduction else ""
        was_ready = slot.introduction is not None
        was_asked = slot.was_asked
        status = slot.reap()
        if status is None:
            return
        self._on_death(files)
        if self._stops or was_asked:
            return
        log.warning("process ended", process=slot.number, ended=slot.ended)
        if self._changed and not was_ready:
            self._failed = True
            log.warning("waiting for a change of the files")
        elif not self._was_ready and -status not in STOP_SIGNALS:
            self._status = status if status > 0 else 1

    def _check_files(self) -> None:
        if self._changed and (path := self._changed()):
            log.info("file changed; restarting processes", path=path)
            self._failed = False
            self._restart_all()

    def _restart_all(self) -> None:
        self._to_restart, self._restarting = deque(self._slots), None

    def _restart_next(self) -> None:
        """One after the other: the next one stops once the one before it is ready."""
        if self._restarting and self._restarting.is_ready:
            self._restarting = None
        if self._to_restart and self._restarting is None:
            slot = self._restarting = self._to_restart.popleft()
            slot.due_at = 0.0
            slot.stop()

    def _start_due(self, now: float) -> None:
        """The first process alone at first: what is wrong with the program is said once."""
        due = self._slots if self._was_ready else self._slots[:1]
        for slot in due:
            if not slot.is_alive and now >= slot.due_at and not self._failed:
                slot.start()

    def _replace_unfit(self, now: float) -> None:
        for slot in self._slots:
            if not slot.is_ready or slot.introduction is None:
                continue
            if now - slot.heard_at > slot.introduction.takeover_idle_s + HUNG_MARGIN_S:
                log.error("process hangs; it is replaced", process=slot.number)
                slot.kill_hung()
            elif slot.health and (unfit := slot.health.overdue or slot.health.dead_threads):
                log.error("process replaced", process=slot.number, why=unfit[0])
                slot.replace()

    def _report(self) -> None:
        found = self.problem()
        if found != self._problem and (found is None) != (self._problem is None):
            if found is None:
                log.info("healthy")
            else:
                log.warning("unhealthy", reason=found)
        self._problem = found
        self._on_step(found)
