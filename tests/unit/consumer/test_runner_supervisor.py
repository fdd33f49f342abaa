"""The supervisor of `fota consume`, with a clock of the test."""

import pytest

from listener.consumer.runner.supervisor import STALLED_S, Supervisor


class Clock:
    """Stands in for the module `time`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("listener.consumer.runner.supervisor.time", made)
    return made


def test_supervisor_is_alive_as_long_as_it_steps(clock: Clock) -> None:
    supervisor = Supervisor([], on_step=lambda _: None, on_death=lambda _: None)
    clock.now += STALLED_S - 1
    assert supervisor.stall() is None
    clock.now += 2
    assert supervisor.stall() == "the supervisor has done nothing for 31 s"
    supervisor.step()
    assert supervisor.stall() is None
