"""When the master takes a worker for dead."""

from pathlib import Path

import pytest

from listener.runtime import scratch_folders
from listener.runtime.scratch_folders import memory_folder as folder
from listener.server.heartbeat import PAUSE_S, Heartbeat


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Sign:
    """Stands in for gunicorn's file."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._updated = clock.now

    def notify(self) -> None:
        self._updated = self._clock.now

    def last_update(self) -> float:
        return self._updated

    def fileno(self) -> int:
        return 7

    def close(self) -> None:
        raise OSError("closed")


def silence_s(beat: Heartbeat, clock: Clock, seconds: int) -> float:
    """How long the worker has been silent for its master, which looks each second."""
    for _ in range(seconds):
        clock.now += 1
        seen = beat.last_update()
    return clock.now - seen


def test_worker_that_hangs_is_as_silent_as_it_is() -> None:
    clock = Clock()
    assert silence_s(Heartbeat(Sign(clock), clock), clock, 31) == 31


def test_worker_that_notifies_is_not_silent() -> None:
    clock = Clock()
    beat = Heartbeat(Sign(clock), clock)
    silence_s(beat, clock, 20)
    beat.notify()
    assert silence_s(beat, clock, 1) == 1


def test_time_for_which_the_master_itself_did_not_run_is_not_held_against_a_worker() -> None:
    clock = Clock()
    beat = Heartbeat(Sign(clock), clock)
    silence_s(beat, clock, 2)
    clock.now += 3600
    assert clock.now - beat.last_update() == 0
    # From then on it counts as before.
    assert silence_s(beat, clock, 31) == 31


def test_master_that_is_a_little_late_excuses_nobody() -> None:
    clock = Clock()
    beat = Heartbeat(Sign(clock), clock)
    clock.now += PAUSE_S
    assert clock.now - beat.last_update() == PAUSE_S


def test_heartbeat_is_the_file_s_in_all_else() -> None:
    clock = Clock()
    beat = Heartbeat(Sign(clock), clock)
    assert beat.fileno() == 7
    with pytest.raises(OSError, match="closed"):
        beat.close()


def test_folder_in_memory_is_used_where_it_has_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch_folders, "MEMORY", tmp_path)
    assert folder() == folder(4096) == tmp_path
    assert folder(2**62) is None
    monkeypatch.setattr(scratch_folders, "MEMORY", tmp_path / "missing")
    assert folder() is None
