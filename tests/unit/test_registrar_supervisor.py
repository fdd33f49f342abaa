"""Who is told what, and in which order, with a clock of our own."""

import signal
from typing import cast

import pytest

from registrar.command import Command
from registrar.settings import Timing
from registrar.signals import Signals
from registrar.supervisor import GIVE_UP_S, Supervisor

TIMING = Timing()


class World:
    """Time passes only while the supervisor waits; what is to happen then is planned."""

    def __init__(self) -> None:
        self.now = 0.0
        self.told: list[str] = []
        self.plan: dict[float, list[int]] = {}
        self.status: int | None = None
        self.running = True
        self.ends_after_signal: int | None = 0
        self.dies_at_once = True
        self.farewell_s: float | None = 1.0
        self.lingers: bool | None = None
        self._over_at = float("inf")

    # As signals.
    def wait(self, timeout_s: float) -> list[int]:
        due = [at for at in self.plan if at <= self.now + timeout_s]
        moments = [*due, self._over_at, self.now + max(timeout_s, 0.01)]
        self.now = max(self.now, min(moments))
        if self.now >= self._over_at:
            self.running, self._over_at = False, float("inf")
            self.told.append("worker over")
        return [n for at in sorted(self.plan) if at <= self.now for n in self.plan.pop(at)]

    # As worker.
    def stop(self, *, lingers: bool) -> None:
        self.lingers = lingers
        self.told.append("worker stops")
        if self.farewell_s is not None:
            self._over_at = self.now + self.farewell_s

    def abandon(self) -> None:
        if "worker abandoned" not in self.told:
            self.told.append("worker abandoned")

    # As command.
    def send(self, number: int) -> None:
        self.told.append(signal.Signals(number).name)
        if number in (signal.SIGTERM, signal.SIGINT) and self.ends_after_signal is not None:
            self.status = self.ends_after_signal

    def kill(self) -> None:
        self.told.append("killed")
        self.status = 137 if self.dies_at_once else None


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    # Children of the test's own process are not ours to reap.
    monkeypatch.setattr("registrar.supervisor.reap", lambda _command: None)
    return World()


def run(world: World, *, command: bool = True, worker: bool = True) -> int:
    return Supervisor(
        cast("Signals", world),
        cast("Command", world) if command else None,
        world if worker else None,
        TIMING,
        lambda: world.now,
    ).run()


def test_the_command_is_told_after_the_worker_is_over(world: World) -> None:
    world.plan[3] = [signal.SIGTERM]
    assert run(world) == 0
    assert world.told == ["worker stops", "worker over", "SIGTERM"]
    assert world.lingers, "what is on its way to the command is waited for"


def test_the_same_signal_is_passed_on(world: World) -> None:
    world.plan[3] = [signal.SIGINT]
    run(world)
    assert world.told[-1] == "SIGINT"


def test_a_worker_that_hangs_is_abandoned_in_time(world: World) -> None:
    world.farewell_s = None
    world.plan[0] = [signal.SIGTERM]
    run(world)
    assert world.told == ["worker stops", "worker abandoned", "SIGTERM"]
    assert world.now == pytest.approx(TIMING.farewell_s, abs=1)


def test_a_command_that_hangs_is_killed_in_time(world: World) -> None:
    world.ends_after_signal = None
    world.plan[0] = [signal.SIGTERM]
    assert run(world) == 137
    assert world.told == ["worker stops", "worker over", "SIGTERM", "killed"]
    assert world.now == pytest.approx(TIMING.shutdown_s, abs=1)


def test_a_command_that_even_a_kill_does_not_end_is_killed_once_and_left_behind(
    world: World,
) -> None:
    world.ends_after_signal, world.dies_at_once = None, False
    world.plan[0] = [signal.SIGTERM]
    assert run(world) == 137
    assert world.told == ["worker stops", "worker over", "SIGTERM", "killed"]
    assert world.now == pytest.approx(TIMING.shutdown_s + GIVE_UP_S, abs=1)


def test_a_second_signal_ends_the_waiting_for_the_worker(world: World) -> None:
    world.farewell_s = None
    world.plan = {0: [signal.SIGTERM], 2: [signal.SIGTERM]}
    run(world)
    assert world.told == ["worker stops", "worker abandoned", "SIGTERM"]
    assert world.now == pytest.approx(2, abs=1)


def test_a_second_signal_leaves_a_command_that_hangs_little_time(world: World) -> None:
    world.ends_after_signal = None
    world.plan = {0: [signal.SIGTERM], 4: [signal.SIGINT]}
    run(world)
    assert world.told[-3:] == ["SIGTERM", "SIGINT", "killed"]
    assert world.now == pytest.approx(4 + TIMING.hurry_s, abs=1)


def test_two_signals_at_once_hurry_too(world: World) -> None:
    world.farewell_s = None
    world.plan = {0: [signal.SIGTERM, signal.SIGTERM]}
    run(world)
    assert world.now < TIMING.hurry_s


def test_other_signals_are_forwarded_and_end_nothing(world: World) -> None:
    world.plan = {1: [signal.SIGHUP, signal.SIGUSR2], 9: [signal.SIGTERM]}
    run(world)
    assert world.told[:3] == ["SIGHUP", "SIGUSR2", "worker stops"]


def test_a_command_that_ended_by_itself_is_deregistered(world: World) -> None:
    world.status = 3
    assert run(world) == 3
    assert world.told == ["worker stops", "worker over"]
    assert not world.lingers, "nobody could take what is on its way"


def test_without_a_command_only_the_worker_is_ended(world: World) -> None:
    world.plan[0] = [signal.SIGTERM]
    assert run(world, command=False) == 0
    assert world.told == ["worker stops", "worker over"]
    assert not world.lingers, "the listener is not ours to stop"


def test_without_a_worker_the_command_is_told_at_once(world: World) -> None:
    world.plan[0] = [signal.SIGTERM]
    run(world, worker=False)
    assert world.told == ["SIGTERM"]
    assert world.now < 1
