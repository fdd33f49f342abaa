"""A write to the journal while another process of the host renames or removes its files.

The other process acts between the commit and its sync, or right after the sync: as `put` goes on, it must notice.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from listener.messages.payload import parse
from listener.spool.journal import PUT_ATTEMPTS, Journal
from listener.spool.journal_database import JOURNAL
from tests.support.journal_worker import LIMIT, message


def waiting(journal: Journal) -> list[int]:
    return [parse(kept.message.data)["n"] for kept in journal.oldest(1000, 2**24, 0)]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Journal(tmp_path, LIMIT)) as opened:
        opened.put([message(0)])
        yield opened


@pytest.fixture
def other(tmp_path: Path, journal: Journal) -> Iterator[Journal]:
    """The same journal, as another worker has it open."""
    with closing(Journal(tmp_path, LIMIT)) as opened:
        opened.put([message(1)])
        yield opened


def at_syncs(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, action: Callable[[], None], *, when: str
) -> None:
    """Runs `action` "before" or "after" each sync of the journal."""
    database = journal._database
    sync = database._sync_log

    def synced() -> None:
        if when == "before":
            action()
        sync()
        if when == "after":
            action()

    monkeypatch.setattr(database, "_sync_log", synced)


def once(action: Callable[[], None]) -> Callable[[], None]:
    todo = [action]
    return lambda: todo.pop()() if todo else None


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("begun", [False, True], ids=["no-new-one", "a-new-one-is-begun"])
def test_message_is_in_the_journal_that_is_drained_though_another_worker_renamed_a_corrupt_one(
    journal: Journal, other: Journal, monkeypatch: pytest.MonkeyPatch, when: str, begun: bool
) -> None:
    def rename() -> None:
        other._database._rename_corrupt()
        if begun:
            other.put([message(4)])

    at_syncs(journal, monkeypatch, once(rename), when=when)
    assert journal.put([message(2), message(3)]) == [False, False]
    assert waiting(other) == ([4] if begun else []) + [2, 3]


def test_message_is_a_duplicate_if_it_came_to_the_new_journal_in_the_meantime(
    journal: Journal, other: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rename() -> None:
        other._database._rename_corrupt()
        other.put([message(2)])

    at_syncs(journal, monkeypatch, once(rename), when="after")
    assert journal.put([message(2), message(3)]) == [True, False]
    assert waiting(other) == [2, 3]


def test_message_is_refused_if_the_journal_is_renamed_at_each_attempt(
    journal: Journal, other: Journal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def rename() -> None:
        other.put([message(1)])
        other._database._rename_corrupt()

    at_syncs(journal, monkeypatch, rename, when="after")
    with pytest.raises(sqlite3.OperationalError, match="renamed"):
        journal.put([message(2)])
    assert len([*tmp_path.glob(f"{JOURNAL}.corrupt-*")]) == PUT_ATTEMPTS
    monkeypatch.undo()
    assert journal.put([message(2)]) == [False]
    assert waiting(other) == [2]


@pytest.mark.parametrize("removed", ["log", "folder"])
def test_message_is_saved_if_the_log_is_gone_for_good(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, removed: str
) -> None:
    def remove() -> None:
        if removed == "log":
            (tmp_path / f"{JOURNAL}-wal").unlink()
            return
        for part in tmp_path.glob("*"):
            part.unlink()
        tmp_path.rmdir()

    at_syncs(journal, monkeypatch, once(remove), when="before")
    assert journal.put([message(2)]) == [False]
    with closing(Journal(tmp_path, LIMIT)) as fresh:
        assert waiting(fresh) == [0, 2]
