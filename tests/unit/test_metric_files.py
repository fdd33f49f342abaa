"""The folders of the counts: what a killed service left goes, what a living one has stays."""

import os
from pathlib import Path

import pytest

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
