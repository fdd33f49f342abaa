"""What a process does about an umask that shuts it out, and where it writes if it can write nearly nowhere."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from listener.runtime import scratch_folders
from listener.runtime.safe_files import allow_owner_access
from listener.runtime.scratch_folders import heartbeat_folder, temporary_folder


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize(
    ("inherited", "expected"), [(0o777, 0o077), (0o277, 0o077), (0o022, 0o022), (0, 0)]
)
def test_umask_keeps_what_it_takes_from_others_alone(inherited: int, expected: int) -> None:
    os.umask(inherited)
    allow_owner_access()
    assert os.umask(0) == expected


def test_heartbeats_lie_in_the_first_folder_that_takes_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, temporary, spool = (tmp_path / name for name in ("memory", "temporary", "a/spool"))
    monkeypatch.setattr(scratch_folders, "memory_folder", lambda: memory)
    monkeypatch.setattr(scratch_folders, "temporary_folder", lambda: temporary)
    assert heartbeat_folder(spool) == memory
    # A file in a folder's place refuses everybody, root too.
    memory.rmdir()
    memory.touch()
    assert heartbeat_folder(spool) == temporary
    monkeypatch.setattr(scratch_folders, "temporary_folder", lambda: None)
    assert heartbeat_folder(spool) == spool
    assert list(spool.iterdir()) == []
    assert heartbeat_folder(None) is None


def test_no_temporary_folder_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", refuse)
    assert temporary_folder() is None
