"""Processes that share a folder of counts: who ends, who absorbs what others left, who is killed at it."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from listener.runtime import multiprocess_dir
from tests.support.metric_folder import dead, scraped


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An operator's folder; this process has no files in it until it reserves some."""
    monkeypatch.setenv(multiprocess_dir.VARIABLE, str(tmp_path))
    yield tmp_path
    multiprocess_dir.clean_up()


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(multiprocess_dir, "memory_folder", lambda *_: None)
    # So that what `prepare` sets is unset again.
    monkeypatch.setenv(multiprocess_dir.VARIABLE, "")
    return tmp_path


def test_many_processes_that_absorb_at_once_count_everything_once(folder: Path) -> None:
    for _ in range(300):
        dead(folder)
    code = "from listener.runtime import multiprocess_dir as m; print(m.merge_dead_files())"
    commands = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    while any(command.poll() is None for command in commands):
        assert scraped()["fota_messages_total"] == 300
    assert [command.communicate()[0].strip() for command in commands] == ["None"] * 4
    multiprocess_dir.merge_dead_files()
    assert scraped()["fota_messages_total"] == 300
    assert len(list(folder.glob("*.db"))) == 1


def test_absorbing_that_is_killed_at_any_moment_keeps_the_sums(folder: Path) -> None:
    for _ in range(400):
        dead(folder)
    code = "from listener.runtime import multiprocess_dir as m; print(flush=True); m.merge_dead_files()"
    for delay in (0.001, 0.005, 0.02):
        command = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert command.stdout
        command.stdout.readline()
        try:
            command.wait(delay)
        except subprocess.TimeoutExpired:
            command.send_signal(signal.SIGKILL)
            command.wait()
        command.stdout.close()
        assert scraped()["fota_messages_total"] == 400
        dead(folder, 0)
    assert multiprocess_dir.merge_dead_files() is None
    assert scraped()["fota_messages_total"] == 400


def test_fork_has_files_of_its_own_and_leaves_the_parents_alone(folder: Path) -> None:
    code = """
        import os
        from listener.runtime import multiprocess_dir
        assert multiprocess_dir.prepare() is None
        from listener import metrics
        metrics.count(metrics.DRAINED)
        if child := os.fork():
            assert os.waitpid(child, 0)[1] == 0
            assert multiprocess_dir.merge_dead_files() is None
            print(len(list(multiprocess_dir.folder().glob("*_fota-*.db"))), flush=True)
            os._exit(0)
        multiprocess_dir.reserve_files()
        metrics.count(metrics.DRAINED, by=10)
        os._exit(0)
    """
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "4", "two of the parent, and the sums"
    assert scraped()["fota_drained_messages_total"] == 11
    multiprocess_dir.merge_dead_files()
    assert scraped()["fota_drained_messages_total"] == 11


def test_folder_that_is_missing_is_made_and_one_that_cannot_be_is_reported(
    tmp_path: Path,
) -> None:
    code = (
        "from listener.runtime import multiprocess_dir as m; print(m.prepare()); print(m.prepare())"
    )
    (tmp_path / "file").touch()
    for place, found in (("a/b", "None"), ("file", "File exists"), ("file/a", "Not a directory")):
        environ = {**os.environ, multiprocess_dir.VARIABLE: str(tmp_path / place)}
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ
        )
        assert [found in line for line in run.stdout.splitlines()] == [True, True], run.stdout


def test_only_folders_whose_processes_are_gone_are_removed(
    parent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    abandoned, in_the_making, earlier, living = (
        parent / f"{multiprocess_dir.PREFIX}abandoned",
        parent / f"{multiprocess_dir.PREFIX}new",
        parent / "fota-metrics-4026531836-1-abc",
        parent / f"{multiprocess_dir.PREFIX}living",
    )
    for path in (abandoned, in_the_making, earlier, living):
        path.mkdir()
    dead(abandoned)
    os.utime(earlier, (0, 0))
    monkeypatch.setenv(multiprocess_dir.VARIABLE, str(living))
    code = "import sys; from listener.runtime import multiprocess_dir as m; m.reserve_files(); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        other.stdout.readline()
        monkeypatch.setenv(multiprocess_dir.VARIABLE, "")
        assert multiprocess_dir.prepare() is None
        own = Path(os.environ[multiprocess_dir.VARIABLE])
        assert set(parent.iterdir()) == {in_the_making, earlier, living, own}
        multiprocess_dir.clean_up()
        assert set(parent.iterdir()) == {in_the_making, earlier, living}
        other.communicate()
    os.utime(in_the_making, (0, 0))
    monkeypatch.setenv(multiprocess_dir.VARIABLE, "")
    assert multiprocess_dir.prepare() is None
    assert not in_the_making.exists()
    assert not living.exists()
    multiprocess_dir.clean_up()


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("command", [["check"], ["stats"], ["schema"]])
def test_commands_leave_no_files_in_the_folder_of_the_service(
    folder: Path, redis_url: str, command: list[str]
) -> None:
    environ = {**os.environ, "REDIS_URL": redis_url, "CALLBACK_TOKEN": "token-of-all-the-tests"}
    run = subprocess.run(
        [sys.executable, "-m", "listener", *command], check=False, capture_output=True, env=environ
    )
    assert run.stdout, run.stderr
    assert list(folder.iterdir()) == []
