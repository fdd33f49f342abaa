"""The folders of the counts: what a killed service left goes, what a living one has stays."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from listener.ops import metric_files

NOBODY = 2**22 + 1  # above the largest number that Linux gives to a process


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(metric_files.VARIABLE, raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def folder(parent: Path, namespace: int, owner: int) -> Path:
    made = parent / f"{metric_files.PREFIX}{namespace}-{owner}-abc"
    made.mkdir()
    return made


def test_only_what_the_dead_of_this_very_numbering_left_is_removed(
    prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = metric_files._namespace()
    abandoned = folder(prepared, here, NOBODY)
    living = folder(prepared, here, os.getppid())
    # Another container's, which shares the folder: whether its owner lives cannot be told here.
    elsewhere = folder(prepared, here + 1, NOBODY)
    # So that what `prepare` sets is unset again.
    monkeypatch.setenv(metric_files.VARIABLE, "")
    assert metric_files.prepare() is None
    assert not abandoned.exists()
    assert living.exists()
    assert elsewhere.exists()
    metric_files.remove()
    assert sorted(prepared.iterdir()) == sorted([living, elsewhere])


def test_counts_are_added_up_while_a_process_takes_its_room_and_when_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(metric_files.VARIABLE, str(tmp_path))
    collector = MultiProcessCollector(CollectorRegistry())  # type: ignore[no-untyped-call]
    add_up: Callable[[], object] = collector.collect

    def no_room(_file: int, _start: int, _size: int) -> None:
        add_up()
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as full:
        full.setattr(os, "posix_fallocate", no_room)
        with pytest.raises(OSError, match="no space"):
            metric_files.reserve()
    add_up()
    metric_files.reserve()
    counts = [file for sort in metric_files.SORTS for file in tmp_path.glob(f"{sort}_*.db")]
    assert [file.stat().st_size for file in counts] == [metric_files.RESERVED_BYTES] * 2
    metric_files.reserve()
    assert sorted(tmp_path.iterdir()) == sorted(counts)
