"""The supervisor of `fota consume`, with processes and a clock of the test."""

import signal
from collections.abc import Callable
from typing import Any, cast

import pytest

from listener.consumer.runner.reports import HealthReport, Introduction
from listener.consumer.runner.slot import MAX_PAUSE_S, Slot, pause_s
from listener.consumer.runner.supervisor import HUNG_MARGIN_S, STALLED_S, Supervisor
from listener.consumer.runner.verdict import MAX_REDIS_SILENT_S, MAX_UNHEARD_S

INTRODUCTION = Introduction(
    group="billing",
    url="redis://127.0.0.1:1",
    namespace="fota",
    partitions=1,
    shutdown_s=20,
    takeover_idle_s=60,
    metric_files="file-of-the-process",
)


def report(**changed: Any) -> HealthReport:
    """The health of a process that consumes."""
    usual: dict[str, Any] = {
        "is_running": True, "in_hand": 0, "dead_threads": (), "redis_silent_s": 0.1, "overdue": ()
    }  # fmt: skip
    return HealthReport(**{**usual, **changed})


class Clock:
    """Stands in for the module `time`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Process:
    """Stands in for a slot: it starts, is ready at once, and dies when the test says so."""

    def __init__(self, number: int, clock: Clock) -> None:
        self.number = number
        self._clock = clock
        self.events: list[str] = []
        self.introduction: Introduction | None = None
        self.health: HealthReport | None = None
        self.heard_at = self.due_at = 0.0
        self.failures = 0
        self.ended = ""
        self.is_alive = self.is_ready = self.was_asked = False
        self.status: int | None = None
        self.starts_well = True
        self.is_importing = False

    def start(self) -> None:
        self.events.append("start")
        self.is_alive, self.heard_at = True, self._clock.now
        if self.is_importing:
            return
        if self.starts_well:
            self.introduction, self.health, self.is_ready = INTRODUCTION, report(), True
        else:
            self.status = 1

    def read(self) -> None:
        pass

    def reap(self) -> int | None:
        status, self.status = self.status, None
        if status is not None:
            self.is_alive = self.is_ready = self.was_asked = False
            self.introduction = self.health = None
            self.ended = f"ended with status {status}"
        return status

    def stop(self, *, at_once: bool = False) -> None:
        if not self.is_alive:
            return
        self.events.append("stop at once" if at_once else "stop")
        self.was_asked, self.is_ready = True, False
        self.status = 0 if self.introduction else -signal.SIGTERM

    def replace(self) -> None:
        self.failures += 1
        self.stop()

    def kill_hung(self) -> None:
        self.events.append("kill")
        self.was_asked, self.is_ready, self.status = True, False, -9


class Rig:
    """A supervisor of two processes."""

    def __init__(self, clock: Clock, **options: Any) -> None:
        self.processes = [Process(number, clock) for number in (1, 2)]
        self.deaths: list[str] = []
        self.problems: list[str | None] = []
        self.supervisor = Supervisor(
            cast("list[Slot]", self.processes),
            on_step=self.problems.append,
            on_death=self.deaths.append,
            **options,
        )

    def steps(self, count: int = 6) -> None:
        for _ in range(count):
            self.supervisor.step()

    def events(self) -> list[list[str]]:
        return [process.events for process in self.processes]

    @property
    def status(self) -> int | None:
        return self.supervisor._status

    def signal(self, number: int) -> None:
        self.supervisor._take_signal(number)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("listener.consumer.runner.supervisor.time", made)
    monkeypatch.setattr("listener.consumer.runner.supervisor.os.isatty", lambda _: False)
    return made


@pytest.fixture
def rig(clock: Clock) -> Rig:
    made = Rig(clock)
    made.steps()
    assert made.supervisor.problem() is None
    return made


def test_supervisor_is_alive_as_long_as_it_steps(clock: Clock, rig: Rig) -> None:
    clock.now += STALLED_S - 1
    assert rig.supervisor.stall() is None
    clock.now += 2
    assert rig.supervisor.stall() == "the supervisor has done nothing for 31 s"
    rig.supervisor.step()
    assert rig.supervisor.stall() is None


def test_first_process_that_cannot_start_ends_all_with_its_status(clock: Clock) -> None:
    rig = Rig(clock)
    rig.processes[0].starts_well = False
    rig.steps()
    assert (rig.events(), rig.status) == ([["start"], []], 1)


def test_process_that_dies_later_starts_again_when_it_is_due(clock: Clock, rig: Rig) -> None:
    process = rig.processes[1]
    process.status, process.due_at = -9, clock.now + 4
    rig.steps()
    assert rig.problems[-1] == "process 2 of 2 ended with status -9; it starts again soon"
    assert rig.deaths == ["file-of-the-process"]
    assert process.events == ["start"]
    clock.now += 4
    rig.steps()
    assert process.events == ["start", "start"]
    assert rig.supervisor.problem() is None
    assert rig.status is None


def test_crash_loop_goes_on_with_growing_pauses_and_never_ends_the_supervisor() -> None:
    assert [pause_s(deaths) for deaths in (1, 2, 3, 4, 5, 6, 1000)] == [
        1, 2, 4, 8, 16, MAX_PAUSE_S, MAX_PAUSE_S
    ]  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_first_signal_drains_and_the_second_ends_at_once(rig: Rig, number: int) -> None:
    rig.signal(number)
    assert rig.supervisor.problem() == "it is stopping"
    rig.signal(number)
    rig.steps(2)
    assert rig.events() == [["start", "stop", "stop at once"]] * 2
    assert rig.status == 0


def test_hangup_restarts_the_processes_one_after_the_other(rig: Rig) -> None:
    for process in rig.processes:
        process.events.clear()
    rig.signal(signal.SIGHUP)
    rig.supervisor.step()
    assert rig.events() == [["stop"], []]
    rig.steps()
    assert rig.events() == [["stop", "start"], ["stop", "start"]]
    assert [process.failures for process in rig.processes] == [0, 0]


def test_hangup_of_a_terminal_stops(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("listener.consumer.runner.supervisor.os.isatty", lambda _: True)
    rig = Rig(clock)
    rig.steps()
    rig.signal(signal.SIGHUP)
    rig.steps()
    assert (rig.events(), rig.status) == ([["start", "stop"]] * 2, 0)


@pytest.mark.parametrize(
    ("health", "reason"),
    [
        (report(dead_threads=("reader-0",)), "has lost threads: reader-0"),
        (report(overdue=("f has been",)), "has a handler beyond its time: f has been"),
    ],
)
def test_unfit_process_is_reported_and_replaced(
    rig: Rig, health: HealthReport, reason: str
) -> None:
    process = rig.processes[0]
    process.health = health
    assert rig.supervisor.problem() == f"process 1 of 2 {reason}"
    rig.steps()
    assert (process.events, process.failures) == (["start", "stop", "start"], 1)
    assert rig.supervisor.problem() is None


def test_outage_of_redis_is_reported_and_replaces_nothing(rig: Rig) -> None:
    process = rig.processes[1]
    process.health = report(redis_silent_s=MAX_REDIS_SILENT_S + 1)
    rig.steps()
    assert rig.problems[-1] == "process 2 of 2 has had no answer of Redis for 31 s"
    process.health = report()
    rig.steps()
    assert rig.supervisor.problem() is None
    assert process.events == ["start"]


def test_process_that_reports_nothing_is_unhealthy_and_later_killed(clock: Clock, rig: Rig) -> None:
    silent, other = rig.processes

    def pass_s(seconds: float) -> None:
        # In small steps: a long one would mean that the supervisor itself was suspended.
        for _ in range(int(seconds)):
            clock.now += 1
            other.heard_at = clock.now
            rig.supervisor.step()

    pass_s(MAX_UNHEARD_S + 1)
    assert rig.problems[-1] == "process 1 of 2 has not reported for 11 s"
    assert silent.events == ["start"]
    pass_s(INTRODUCTION.takeover_idle_s + HUNG_MARGIN_S - MAX_UNHEARD_S)
    rig.steps()
    assert silent.events == ["start", "kill", "start"]
    assert other.events == ["start"]


def test_supervisor_that_was_suspended_kills_nobody(clock: Clock, rig: Rig) -> None:
    clock.now += 3600
    rig.steps()
    assert rig.events() == [["start"], ["start"]]


@pytest.mark.parametrize("first_start", [True, False], ids=["at first", "later"])
def test_process_that_cannot_start_waits_for_a_change_with_reload(
    clock: Clock, first_start: bool
) -> None:
    changes: list[str] = []
    changed: Callable[[], str | None] = lambda: changes.pop() if changes else None  # noqa: E731
    rig = Rig(clock, changed=changed)
    rig.processes = rig.processes[:1]
    [process] = rig.processes
    rig.supervisor._slots = cast("list[Slot]", rig.processes)
    process.starts_well = not first_start
    rig.steps()
    if not first_start:
        process.starts_well = False
        changes.append("billing.py")
        rig.steps()
    broken = len(process.events)
    clock.now += 3600
    rig.steps()
    assert len(process.events) == broken, "it does not try the same again"
    process.starts_well = True
    changes.append("billing.py")
    rig.steps()
    assert rig.supervisor.problem() is None
    assert process.events[-1] == "start"


@pytest.mark.parametrize("first_start", [True, False], ids=["at first", "later"])
def test_change_while_a_process_imports_starts_it_again(clock: Clock, first_start: bool) -> None:
    changes: list[str] = []
    rig = Rig(clock, changed=lambda: changes.pop() if changes else None)
    process = rig.processes[0]
    if not first_start:
        rig.steps()
        changes.append("billing.py")
    process.is_importing = True
    rig.steps()
    assert (process.is_alive, process.is_ready) == (True, False)
    process.is_importing = False
    changes.append("billing.py")
    rig.steps()
    assert rig.supervisor.problem() is None
    assert process.events[-2:] == ["stop", "start"]


def test_hangup_while_the_first_process_imports_starts_it_again(clock: Clock) -> None:
    rig = Rig(clock)
    process = rig.processes[0]
    process.is_importing = True
    rig.steps()
    process.is_importing = False
    rig.signal(signal.SIGHUP)
    rig.steps()
    assert rig.status is None
    assert rig.supervisor.problem() is None
    assert process.events == ["start", "stop", "start"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_to_all_while_the_first_process_imports_is_no_failure(
    clock: Clock, number: int
) -> None:
    rig = Rig(clock)
    process = rig.processes[0]
    process.is_importing = True
    rig.steps()
    # The process gets its signal first, and the supervisor sees it end before its own comes.
    process.status, process.due_at = -number, clock.now + 1
    rig.steps()
    assert not rig.status
    rig.signal(number)
    rig.steps()
    assert (process.events, rig.status) == (["start"], 0)


def test_files_of_a_process_that_ends_before_it_is_ready_are_not_left(
    clock: Clock, rig: Rig
) -> None:
    process = rig.processes[1]
    process.starts_well = False
    process.status = -9
    rig.steps(2)
    assert rig.deaths == ["file-of-the-process", ""]


@pytest.mark.parametrize("has_terminal", [True, False], ids=["terminal", "no terminal"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_hangup_while_it_stops_does_not_end_it_at_once(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, number: int, has_terminal: bool
) -> None:
    monkeypatch.setattr("listener.consumer.runner.supervisor.os.isatty", lambda _: has_terminal)
    rig = Rig(clock)
    rig.steps()
    for received in (number, signal.SIGHUP, signal.SIGHUP):
        rig.signal(received)
    assert rig.events() == [["start", "stop"]] * 2
    rig.signal(number)
    assert rig.events() == [["start", "stop", "stop at once"]] * 2
    rig.steps()
    assert rig.status == 0
