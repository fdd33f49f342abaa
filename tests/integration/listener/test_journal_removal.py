"""Files of the journal are removed or moved away while processes have them open, and a worker starts then.

Each worker is a process of its own: SQLite's locks belong to processes. What a worker has put is acknowledged, so it
must be in the journal at the path once every worker that is alive has used its journal again.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import combinations
from pathlib import Path

import pytest

from listener.messages.payload import parse
from listener.spool.journal import Journal
from listener.spool.journal_database import JOURNAL
from listener.spool.journal_files import RECORD
from tests.support.journal_worker import LIMIT, JournalWorker, message

PARTS = ("", "-wal", "-shm")
SUBSETS = [some for size in (1, 2, 3) for some in combinations(PARTS, size)]
NAMES = ["+".join(part.strip("-") or "database" for part in some) for some in SUBSETS]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], JournalWorker]]:
    """Starts a worker on the folder `spool`."""
    workers: list[JournalWorker] = []

    def start() -> JournalWorker:
        workers.append(JournalWorker(tmp_path / "spool"))
        return workers[-1]

    yield start
    for worker in workers:
        worker.kill()


def waiting(folder: Path) -> list[int]:
    with closing(Journal(folder, LIMIT)) as journal:
        kept = journal.oldest(1000, 2**24, 0)
        return sorted(parse(each.message.data)["n"] for each in kept)


def unlink(path: Path) -> None:
    path.unlink()


def move_out(path: Path) -> None:
    path.rename(path.parent.parent / path.name)


def move_aside(path: Path) -> None:
    path.rename(path.with_name(f"{path.name}.old"))


@pytest.mark.quick_cases(6)
@pytest.mark.parametrize("remove", [unlink, move_out, move_aside])
@pytest.mark.parametrize("removed", SUBSETS, ids=NAMES)
def test_worker_that_starts_after_a_removal_costs_the_others_no_message(
    tmp_path: Path,
    start: Callable[[], JournalWorker],
    removed: tuple[str, ...],
    remove: Callable[[Path], None],
) -> None:
    first, second = start(), start()
    for number in range(20):
        assert [first.put(number), second.put(number + 100)] == ["kept", "kept"]
    for part in removed:
        remove(tmp_path / "spool" / f"{JOURNAL}{part}")
    third = start()
    sent = [(third, 200), (first, 201), (third, 202), (second, 203), (third, 204)]
    answers = {number: worker.put(number) for worker, number in sent}
    for worker in (first, second, third):
        worker.kill()
    acknowledged = {*range(20), *range(100, 120)}
    acknowledged |= {number for number, answer in answers.items() if answer == "kept"}
    assert acknowledged - set(waiting(tmp_path / "spool")) == set()
    assert set(answers.values()) == {"kept"}


def files(folder: Path) -> list[int]:
    return [(folder / f"{JOURNAL}{part}").stat().st_ino for part in PARTS]


def test_worker_that_closes_removed_files_leaves_those_of_the_new_journal(
    tmp_path: Path, start: Callable[[], JournalWorker]
) -> None:
    folder = tmp_path / "spool"
    with closing(Journal(folder, LIMIT)) as journal:
        journal.put([message(1)])
        (folder / JOURNAL).unlink()
        other = start()
        assert other.put(2) == "kept"
        # Its shared memory is not that of the removed database.
        before = files(folder)
        assert journal.put([message(3)]) == [False]
        assert files(folder) == before
        assert other.put(4) == "kept"
    assert waiting(folder) == [1, 2, 3, 4]


def test_message_outlives_one_removal_after_the_other_while_one_worker_alone_is_alive(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "spool"
    with closing(Journal(folder, LIMIT)) as journal:
        for number, removed in enumerate(SUBSETS):
            journal.put([message(number)])
            for part in removed:
                (folder / f"{JOURNAL}{part}").unlink()
            # As the drainer does four times a second. Then the next removal, before another message.
            assert journal.lead()
    assert waiting(folder) == [*range(len(SUBSETS))]


@pytest.mark.parametrize("saves", [True, False], ids=["saved", "killed"])
def test_log_without_its_database_is_kept_until_its_messages_are_saved(
    tmp_path: Path, start: Callable[[], JournalWorker], saves: bool
) -> None:
    folder, first = tmp_path / "spool", start()
    first.put(1)
    log = (folder / f"{JOURNAL}-wal").read_bytes()
    (folder / JOURNAL).unlink()
    if not saves:
        first.kill()
    second = start()
    assert second.put(2) == "kept"
    [kept] = folder.glob("*.corrupt-*")
    assert kept.read_bytes() == log
    if saves:
        assert first.put(3) == "kept"
        assert not kept.exists()
    assert waiting(folder) == ([1, 2, 3] if saves else [2])


def test_removed_journal_is_saved_though_a_corrupt_one_lies_in_its_place(tmp_path: Path) -> None:
    with closing(Journal(tmp_path, LIMIT)) as journal:
        journal.put([message(1)])
        (tmp_path / JOURNAL).unlink()
        (tmp_path / JOURNAL).write_bytes(b"no database" * 1000)
        assert journal.put([message(2)]) == [False]
    assert waiting(tmp_path) == [1, 2]
    assert [*tmp_path.glob(f"{JOURNAL}.corrupt-*")]


def test_journal_that_another_program_has_open_is_joined_or_copied_whole(tmp_path: Path) -> None:
    with closing(Journal(tmp_path, LIMIT)) as before:
        before.put([message(1)])
    with closing(sqlite3.connect(tmp_path / JOURNAL)) as shell:
        # Its log and shared memory are not those that the service has recorded.
        shell.execute("UPDATE message SET place = 7")
        shell.commit()
        with closing(Journal(tmp_path, LIMIT)) as journal:
            assert journal.put([message(1), message(2)]) == [True, False]
            assert waiting(tmp_path) == [1, 2]


def test_journal_of_the_version_before_is_taken_over_with_its_log(
    tmp_path: Path, start: Callable[[], JournalWorker]
) -> None:
    folder, killed = tmp_path / "spool", start()
    killed.put(1)
    killed.kill()
    # That version recorded no files.
    (folder / RECORD).unlink()
    assert waiting(folder) == [1]
