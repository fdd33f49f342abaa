"""The folder of the counts: what the dead left is added up once, what a living process has stays."""

import errno
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector

from listener.runtime import metric_files, multiprocess_dir, safe_files
from tests.support.metric_folder import NUMBERS, dead, scraped

OTHER = mmap_key("fota_refusals", "fota_refusals_total", [], [], "Refused \N{EN DASH} all.")
LE = mmap_key("fota_seconds", "fota_seconds_bucket", ["le"], ["0.5"], "Time.")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An operator's folder; this process has no files in it until it reserves some."""
    monkeypatch.setenv(multiprocess_dir.VARIABLE, str(tmp_path))
    yield tmp_path
    multiprocess_dir.clean_up()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_files_of_the_dead_become_one_with_the_same_sums(folder: Path) -> None:
    for value in (1, 2, 4):
        dead(folder, value)
    dead(folder, 8, OTHER)
    dead(folder, 16, LE, "histogram")
    before = scraped()
    assert before["fota_messages_total"] == 7
    assert multiprocess_dir.merge_dead_files() is None
    assert scraped() == before
    assert names(folder) == [
        "counter_fota-ended.db",
        "fota-absorbing.lock",
        "histogram_fota-ended.db",
    ]
    dead(folder, 8)
    multiprocess_dir.merge_dead_files()
    multiprocess_dir.merge_dead_files()
    assert scraped() == before | {"fota_messages_total": 15}
    assert sum(path.stat().st_size for path in folder.iterdir()) < 2000


def test_file_of_a_living_process_and_those_of_other_programs_stay(folder: Path) -> None:
    multiprocess_dir.reserve_files()
    own = {path.name for path in folder.iterdir()}
    assert len(own) == 2
    shutil.copy(dead(folder, 3), folder / "counter_7.db")
    (folder / "gauge_all_7.db").write_bytes(b"")
    multiprocess_dir.merge_dead_files()
    assert own | {"counter_7.db", "gauge_all_7.db"} <= set(names(folder))
    assert scraped()["fota_messages_total"] == 6


@pytest.mark.parametrize("deleted", [0, 1, 2])
def test_crash_between_the_sums_and_the_deleting_doubles_nothing(
    folder: Path, deleted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in (1, 2, 4):
        dead(folder, value)
    left = iter(range(deleted))
    unlink = Path.unlink

    def until_the_crash(path: Path, *, missing_ok: bool = False) -> None:
        if next(left, None) is None:
            raise OSError(errno.EIO, "crashed")
        unlink(path, missing_ok=missing_ok)

    with monkeypatch.context() as crash:
        crash.setattr(Path, "unlink", until_the_crash)
        assert multiprocess_dir.merge_dead_files()
    assert len(list(folder.glob("*_fota-*.db"))) == 4 - deleted
    assert scraped()["fota_messages_total"] == 7
    dead(folder, 8)
    assert multiprocess_dir.merge_dead_files() is None
    assert scraped()["fota_messages_total"] == 15
    assert len(list(folder.glob("*_fota-*.db"))) == 1


@pytest.mark.parametrize("step", ["create_safely", "rename"])
def test_full_disk_leaves_the_files_of_the_dead_and_the_sums_right(
    folder: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [dead(folder, value) for value in (1, 2)]

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as disk:
        disk.setattr(Path if step == "rename" else safe_files, step, full)
        assert "no space" in (multiprocess_dir.merge_dead_files() or "")
    assert scraped()["fota_messages_total"] == 3
    assert all(path.stat().st_size < 200 for path in files), "what was reserved is given back"
    assert multiprocess_dir.merge_dead_files() is None
    assert scraped()["fota_messages_total"] == 3


def test_sums_do_not_waver_while_files_are_absorbed(folder: Path) -> None:
    def absorb_many() -> None:
        for _ in range(60):
            dead(folder, 0)
            multiprocess_dir.merge_dead_files()

    dead(folder, 5)
    with ThreadPoolExecutor(1) as pool:
        absorbing = pool.submit(absorb_many)
        while not absorbing.done():
            assert scraped()["fota_messages_total"] == 5
        absorbing.result()


@pytest.mark.parametrize("content", [b"\x01", b"\xff" * 100, b"\x40\0\0\0\0\0\0\0\x08\0\0\0abc"])
def test_broken_file_costs_no_other_sum_and_is_set_aside_once(folder: Path, content: bytes) -> None:
    dead(folder, 3)
    path = folder / f"counter_fota-{next(NUMBERS):016x}.db"
    path.write_bytes(content)
    assert scraped()["fota_messages_total"] == 3
    assert multiprocess_dir.merge_dead_files() is None
    assert scraped()["fota_messages_total"] == 3
    assert path.with_suffix(".broken").read_bytes()[: len(content)]
    assert not path.exists()


def test_file_of_the_same_form_is_read_by_prometheus_client(folder: Path) -> None:
    keys = ["a", "ab", "abc", "abcd", "\N{EN DASH}bcde" * 50]
    sums = {mmap_key(key, key, [], [], key): float(number) for number, key in enumerate(keys)}
    data = metric_files.merged_file(sums, {"counter_fota-1.db"})
    path = folder / "counter_1.db"
    path.write_bytes(data)
    read = MmapedDict.read_all_values_from_file(str(path))  # type: ignore[no-untyped-call]
    assert {key: value for key, value, _, _ in read} == sums == metric_files.values(data)
    assert metric_files._merged_names(path) == {"counter_fota-1.db"}
    merged = MultiProcessCollector.merge([str(path)])  # type: ignore[no-untyped-call]
    assert len(list(merged)) == len(keys)


def test_counts_are_added_up_while_a_process_takes_its_room_and_when_there_is_none(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(_file: int, _start: int, _size: int) -> None:
        scraped()
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as full:
        full.setattr(os, "posix_fallocate", no_room)
        with pytest.raises(OSError, match="no space"):
            multiprocess_dir.reserve_files()
    assert names(folder) == []
    multiprocess_dir.reserve_files()
    assert [path.stat().st_size for path in folder.glob("*.db")] == [
        multiprocess_dir.RESERVED_BYTES
    ] * 2
    before = names(folder)
    multiprocess_dir.reserve_files()
    assert names(folder) == before
