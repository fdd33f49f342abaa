"""When gunicorn's master takes a worker for dead."""

from pathlib import Path

import pytest

from listener.runtime import scratch_folders
from listener.runtime.scratch_folders import memory_folder as folder
from listener.server.worker_liveness import PAUSE_S, WorkerLiveness


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class FakeFile:
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


def silence_s(liveness: WorkerLiveness, clock: Clock, seconds: int) -> float:
    """How long the worker has been silent for its master, which checks each second."""
    for _ in range(seconds):
        clock.now += 1
        updated = liveness.last_update()
    return clock.now - updated


def test_time_for_which_a_worker_hangs_counts_in_full() -> None:
    clock = Clock()
    assert silence_s(WorkerLiveness(FakeFile(clock), clock), clock, 31) == 31


def test_worker_that_notifies_is_alive() -> None:
    clock = Clock()
    liveness = WorkerLiveness(FakeFile(clock), clock)
    silence_s(liveness, clock, 20)
    liveness.notify()
    assert silence_s(liveness, clock, 1) == 1


def test_time_for_which_the_master_did_not_run_does_not_count() -> None:
    clock = Clock()
    liveness = WorkerLiveness(FakeFile(clock), clock)
    silence_s(liveness, clock, 2)
    clock.now += 3600
    assert clock.now - liveness.last_update() == 0
    # From then on it counts as before.
    assert silence_s(liveness, clock, 31) == 31


def test_short_delay_of_the_master_counts() -> None:
    clock = Clock()
    liveness = WorkerLiveness(FakeFile(clock), clock)
    clock.now += PAUSE_S
    assert clock.now - liveness.last_update() == PAUSE_S


def test_heartliveness_is_the_file_s_in_all_else() -> None:
    clock = Clock()
    liveness = WorkerLiveness(FakeFile(clock), clock)
    assert liveness.fileno() == 7
    with pytest.raises(OSError, match="closed"):
        liveness.close()


def test_folder_in_memory_is_used_where_it_has_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch_folders, "MEMORY", tmp_path)
    assert folder() == folder(4096) == tmp_path
    assert folder(2**62) is None
    monkeypatch.setattr(scratch_folders, "MEMORY", tmp_path / "missing")
    assert folder() is None
