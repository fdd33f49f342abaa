"""The order in which the supervisor ends the registrar's thread and COMMAND, with a clock of the test's own."""

import signal
from typing import cast

import pytest
import structlog

from registrar.process.child import Child
from registrar.process.signals import Signals
from registrar.process.supervisor import GIVE_UP_S, Supervisor
from registrar.settings import Timing

TIMING = Timing()


class FakeParts:
    """Time passes only while the supervisor waits; what is to happen then is planned."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[str] = []
        self.plan: dict[float, list[int]] = {}
        self.status: int | None = None
        self.running = True
        self.failed = False
        self.ends_after_signal: int | None = 0
        self.dies_at_once = True
        self.left_in_group = False
        self.group_is_stubborn = False
        self.deregister_s: float | None = 1.0
        self.drain: bool | None = None
        self._over_at = float("inf")

    # As the signals.
    def wait(self, timeout_s: float) -> list[int]:
        due = [at for at in self.plan if at <= self.now + timeout_s]
        moments = [*due, self._over_at, self.now + max(timeout_s, 0.01)]
        self.now = max(self.now, min(moments))
        if self.now >= self._over_at:
            self.running, self._over_at = False, float("inf")
            self.calls.append("registrar over")
        return [n for at in sorted(self.plan) if at <= self.now for n in self.plan.pop(at)]

    # As the registrar's thread.
    def stop(self, *, drain: bool) -> None:
        self.drain = drain
        self.calls.append("registrar stops")
        if self.deregister_s is not None:
            self._over_at = self.now + self.deregister_s

    def abort(self) -> None:
        if "registrar aborted" not in self.calls:
            self.calls.append("registrar aborted")

    # As COMMAND.
    @property
    def alive(self) -> bool:
        return self.status is None or self.left_in_group

    @property
    def terminated(self) -> bool:
        return "SIGTERM" in self.calls

    def send(self, number: int) -> None:
        self.calls.append(signal.Signals(number).name)
        if number == signal.SIGTERM and self.ends_after_signal is not None:
            self.status = self.ends_after_signal

    def terminate(self) -> None:
        if self.status is None:
            if not self.terminated:
                self.send(signal.SIGTERM)
        elif "group SIGTERM" not in self.calls:
            self.calls.append("group SIGTERM")
            self.left_in_group = self.group_is_stubborn

    def kill(self) -> None:
        self.calls.append("killed")
        self.left_in_group = False
        if self.status is None:
            self.status = 137 if self.dies_at_once else None


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> FakeParts:
    # Children of the test's own process are not ours to reap.
    monkeypatch.setattr("registrar.process.supervisor.reap", lambda _command: None)
    return FakeParts()


def run(parts: FakeParts, *, command: bool = True, registrar: bool = True) -> int:
    return Supervisor(
        cast("Signals", parts),
        cast("Child", parts) if command else None,
        parts if registrar else None,
        TIMING,
        lambda: parts.now,
    ).run()


def test_command_gets_sigterm_after_the_registrar_is_over(parts: FakeParts) -> None:
    parts.plan[3] = [signal.SIGTERM]
    assert run(parts) == 0
    assert parts.calls == ["registrar stops", "registrar over", "SIGTERM"]
    assert parts.drain, "what is on its way to the command is waited for"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM])
def test_the_command_gets_sigterm_whichever_signal_stops_the_registrar(
    parts: FakeParts, number: int
) -> None:
    parts.plan[3] = [number]
    run(parts)
    assert parts.calls == ["registrar stops", "registrar over", "SIGTERM"]


def test_a_registrar_that_hangs_is_aborted_in_time_and_the_log_says_so(parts: FakeParts) -> None:
    parts.deregister_s = None
    parts.plan[0] = [signal.SIGTERM]
    with structlog.testing.capture_logs() as lines:
        run(parts)
    assert parts.calls == ["registrar stops", "registrar aborted", "SIGTERM"]
    assert parts.now == pytest.approx(TIMING.deregister_s, abs=1)
    [line] = [one for one in lines if one["event"] == "deregistration timed out"]
    assert line["log_level"] == "error"


def test_what_a_command_leaves_in_its_group_is_terminated_before_the_registrar_ends(
    parts: FakeParts,
) -> None:
    parts.left_in_group = True
    parts.status = 0
    assert run(parts) == 0
    assert parts.calls == ["registrar stops", "registrar over", "group SIGTERM"]


def test_a_shell_that_ended_on_sigterm_has_its_child_terminated_too(parts: FakeParts) -> None:
    parts.left_in_group = True
    parts.plan[0] = [signal.SIGTERM]
    assert run(parts) == 0
    assert parts.calls[-2:] == ["SIGTERM", "group SIGTERM"]


def test_what_is_left_in_the_group_and_ignores_sigterm_is_killed_in_time(parts: FakeParts) -> None:
    parts.left_in_group = parts.group_is_stubborn = True
    parts.plan[0] = [signal.SIGTERM]
    assert run(parts) == 0
    assert parts.calls[-2:] == ["group SIGTERM", "killed"]
    assert parts.now == pytest.approx(TIMING.shutdown_s, abs=1)


def test_sigusr2_is_not_passed_on_and_the_log_says_so(parts: FakeParts) -> None:
    parts.plan = {1: [signal.SIGUSR2], 9: [signal.SIGTERM]}
    with structlog.testing.capture_logs() as lines:
        run(parts)
    assert parts.calls == ["registrar stops", "registrar over", "SIGTERM"]
    assert [line["signal"] for line in lines if line["event"] == "signal ignored"] == ["SIGUSR2"]


def test_a_command_that_hangs_is_killed_in_time(parts: FakeParts) -> None:
    parts.ends_after_signal = None
    parts.plan[0] = [signal.SIGTERM]
    assert run(parts) == 137
    assert parts.calls == ["registrar stops", "registrar over", "SIGTERM", "killed"]
    assert parts.now == pytest.approx(TIMING.shutdown_s, abs=1)


def test_a_command_that_even_a_kill_does_not_end_is_killed_once_and_left_behind(
    parts: FakeParts,
) -> None:
    parts.ends_after_signal, parts.dies_at_once = None, False
    parts.plan[0] = [signal.SIGTERM]
    assert run(parts) == 137
    assert parts.calls == ["registrar stops", "registrar over", "SIGTERM", "killed"]
    assert parts.now == pytest.approx(TIMING.shutdown_s + GIVE_UP_S, abs=1)


def test_a_second_signal_ends_the_waiting_for_the_registrar(parts: FakeParts) -> None:
    parts.deregister_s = None
    parts.plan = {0: [signal.SIGTERM], 2: [signal.SIGTERM]}
    run(parts)
    assert parts.calls == ["registrar stops", "registrar aborted", "SIGTERM"]
    assert parts.now == pytest.approx(2, abs=1)


def test_a_second_signal_leaves_a_command_that_hangs_little_time(parts: FakeParts) -> None:
    parts.ends_after_signal = None
    parts.plan = {0: [signal.SIGTERM], 4: [signal.SIGINT]}
    run(parts)
    assert parts.calls[-3:] == ["SIGTERM", "SIGTERM", "killed"]
    assert parts.now == pytest.approx(4 + TIMING.second_signal_s, abs=1)


def test_two_signals_at_once_hurry_too(parts: FakeParts) -> None:
    parts.deregister_s = None
    parts.plan = {0: [signal.SIGTERM, signal.SIGTERM]}
    run(parts)
    assert parts.now < TIMING.second_signal_s


def test_other_signals_are_forwarded_and_end_nothing(parts: FakeParts) -> None:
    parts.plan = {1: [signal.SIGHUP, signal.SIGUSR1], 9: [signal.SIGTERM]}
    run(parts)
    assert parts.calls[:3] == ["SIGHUP", "SIGUSR1", "registrar stops"]


def test_a_command_that_ended_by_itself_is_deregistered(parts: FakeParts) -> None:
    parts.status = 3
    assert run(parts) == 3
    assert parts.calls == ["registrar stops", "registrar over"]
    assert not parts.drain, "nobody could take what is on its way"


def test_without_a_command_only_the_registrar_is_ended(parts: FakeParts) -> None:
    parts.plan[0] = [signal.SIGTERM]
    assert run(parts, command=False) == 0
    assert parts.calls == ["registrar stops", "registrar over"]
    assert not parts.drain, "the listener is not ours to stop"


def test_without_a_registrar_the_command_gets_sigterm_at_once(parts: FakeParts) -> None:
    parts.plan[0] = [signal.SIGTERM]
    run(parts, registrar=False)
    assert parts.calls == ["SIGTERM"]
    assert parts.now < 1


def test_a_registrar_that_can_never_register_ends_the_command_with_status_2(
    parts: FakeParts,
) -> None:
    parts.failed, parts.running = True, False
    assert run(parts) == 2
    assert parts.calls[-1] == "SIGTERM"
