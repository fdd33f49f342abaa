"""Parts of `fota consume` by themselves: stopping, the health file, the watch on the files."""

import errno
import os
import socket
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import pytest
from structlog.testing import capture_logs

from listener.consumer.consumer import Consumer
from listener.consumer.runner import health_file, run, source_watcher
from listener.consumer.runner.health_file import CONTENT, EVERY_S, HealthFile
from listener.consumer.runner.reports import STOP, STOP_AT_ONCE
from listener.consumer.runner.source_watcher import SourceWatcher
from listener.consumer.runner.stopping import Stopper
from listener.runtime import file_locks, multiprocess_dir


class StandIn:
    """Counts the requests to stop: from the second on, a consumer hands everything back."""

    def __init__(self) -> None:
        self.stops = 0
        self.options = SimpleNamespace(shutdown_s=20)

    def stop(self) -> None:
        self.stops += 1


@pytest.fixture
def consumer() -> StandIn:
    return StandIn()


@pytest.fixture
def stopper(consumer: StandIn) -> Stopper:
    return Stopper(cast("Consumer", consumer))


def test_signal_and_supervisor_together_are_one_request(
    consumer: StandIn, stopper: Stopper
) -> None:
    stopper.stop()
    stopper.stop()
    assert consumer.stops == 1
    stopper.stop_at_once()
    assert consumer.stops == 2


@pytest.mark.parametrize(("request_", "stops"), [(STOP, 1), (STOP_AT_ONCE, 2)])
def test_process_does_what_its_supervisor_asks_and_stops_once_it_is_gone(
    request_: bytes,
    stops: int,
    consumer: StandIn,
    stopper: Stopper,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alarms: list[float] = []
    monkeypatch.setattr("signal.setitimer", lambda _, seconds: alarms.append(seconds))
    ours, its = socket.socketpair()
    with its:
        ours.send(request_)
        ours.close()
        thread = threading.Thread(target=stopper.follow, args=(its,))
        thread.start()
        thread.join(10)
    assert consumer.stops == stops
    assert alarms == [40.0]


def test_health_file_is_there_while_all_is_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "health"
    now = [1000.0]
    monkeypatch.setattr(health_file, "time", SimpleNamespace(monotonic=lambda: now[0]))
    file = HealthFile(path)
    assert list(tmp_path.iterdir()) == []
    file.update(None)
    assert path.read_bytes() == CONTENT
    os.utime(path, (0, 0))
    file.update(None)
    assert path.stat().st_mtime == 0, "it is not written at every step"
    now[0] += EVERY_S
    file.update(None)
    assert time.time() - path.stat().st_mtime < 60
    file.update("process 1 of 2 is not ready yet")
    assert list(tmp_path.iterdir()) == []


def test_health_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "health"
    file = HealthFile(path)
    file.update(None)
    with path.open("rb") as reader:
        file.remove()
        file.update(None)
        # Whoever had it open reads what was there, and no half of the next.
        assert reader.read() == CONTENT
    assert [each.name for each in tmp_path.iterdir()] == ["health"]


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES], ids=errno.errorcode.get)
def test_health_file_that_cannot_be_removed_ends_nothing(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = HealthFile(tmp_path / "health")
    file.update(None)

    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as refusing:
        refusing.setattr(Path, "unlink", refuse)
        with capture_logs() as logged:
            for _ in range(3):
                file.update("process 1 of 2 is not ready yet")
            file.remove()
    assert [entry["event"] for entry in logged] == ["health file not removed"]
    file.update("process 1 of 2 is not ready yet")
    assert list(tmp_path.iterdir()) == []


def test_health_file_that_cannot_be_removed_at_first_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(PermissionError):
        HealthFile(tmp_path / "health")


def test_files_of_a_process_that_named_none_are_removed_and_those_of_a_live_one_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(multiprocess_dir.VARIABLE, str(tmp_path))
    dead, alive = (tmp_path / f"counter_fota-{digit * 16}.db" for digit in "01")
    gauge = tmp_path / "gauge_all_fota-1111111111111111.db"
    for path in (dead, alive, gauge):
        path.write_bytes(bytes(64))
    with alive.open("r+b") as file:
        file_locks.lock(file.fileno())
        run._remove_files("")
    assert (dead.exists(), alive.exists(), gauge.exists()) == (False, True, True)


def test_metric_files_that_cannot_be_removed_end_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(multiprocess_dir.VARIABLE, str(tmp_path))
    (tmp_path / "gauge_all_fota-0.db").touch()

    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", refuse)
    with capture_logs() as logged:
        run._remove_files("fota-0")
    assert [entry["event"] for entry in logged] == ["metric files of a dead process not removed"]


def test_file_of_somebody_else_is_no_health_file(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        HealthFile(path)
    assert path.read_text() == "mine"


def test_change_of_a_python_file_is_noticed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(source_watcher, "time", SimpleNamespace(monotonic=lambda: now[0]))
    (tmp_path / ".venv").mkdir()
    (tmp_path / "package").mkdir()
    module = tmp_path / "package" / "main.py"
    module.write_text("")
    watcher = SourceWatcher(str(tmp_path))

    def changed() -> Any:
        now[0] += 1
        return watcher.changed()

    assert changed() is None
    (tmp_path / ".venv" / "other.py").write_text("")
    (tmp_path / "notes.txt").write_text("")
    assert changed() is None
    os.utime(module, (1, 1))
    assert changed() == str(module)
    assert changed() is None
    module.unlink()
    assert changed() == str(module)
