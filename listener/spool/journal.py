"""The messages in the spool's SQLite journal: put, read in order, set aside, deleted; and which process drains it."""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import IO

from listener.messages.message import Message
from listener.runtime import file_locks
from listener.runtime.safe_files import open_safely
from listener.spool.journal_database import JournalDatabase
from listener.spool.journal_files import lies_at
from listener.spool.journal_opening import PAGE_BYTES
from listener.spool.journal_rows import (
    DAMAGED,
    UNREADABLE,
    SetAside,
    Spooled,
    insert_rows,
    message_of,
    now,
    place_of,
)

LEAD = "drainer.lock"
# Another process may find the journal corrupt and rename it during a write. The next one is rarely renamed.
PUT_ATTEMPTS = 3
# A set-aside row that cannot be read is replaced: the waiting one may be the same message, come whole again.
SET_ASIDE = f"""
INSERT INTO set_aside (id, message, reason, since)
SELECT id, message, :reason, :since FROM message WHERE place = :place AND id = :id
ON CONFLICT (id) DO UPDATE SET message = excluded.message, reason = excluded.reason, since = excluded.since
WHERE set_aside.reason LIKE '{DAMAGED}%'
"""  # noqa: S608 (only a constant)
# As bytes: text that is not UTF-8 would fail the whole statement.
OLDEST = """
SELECT place, id, CAST(message AS BLOB) FROM message WHERE place > ? ORDER BY place LIMIT ?
"""
DELETE = "DELETE FROM message WHERE place = :place AND id = :id"
RETRY = """
INSERT OR IGNORE INTO message (id, message) SELECT id, message FROM set_aside WHERE id = :id
"""
ANY_MESSAGE = "SELECT EXISTS (SELECT 1 FROM message) OR EXISTS (SELECT 1 FROM set_aside)"
DROP = "DELETE FROM set_aside WHERE id = :id"


class Journal:
    """The messages of the spool on disk, those that wait and those that are set aside.

    For one thread at a time. Every method may block for as long as the disk takes, and raises
    sqlite3.Error or OSError. `notes` lists events to be logged, each with its details.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._database = JournalDatabase(folder, max_bytes)
        self._lead: IO[bytes] | None = None
        self.notes = self._database.notes

    def put(self, messages: Sequence[Message | SetAside]) -> list[bool]:
        """Writes messages and syncs them; returns for each whether it was there already.

        Then all of them are in the journal that is drained. If it raises, none is guaranteed to be.
        """

        def insert(journal: sqlite3.Connection) -> list[bool]:
            self._database.check_size(journal)
            with self._database.transaction(journal):
                return insert_rows(journal, messages)

        for _ in range(PUT_ATTEMPTS):
            results = self._database.run(insert)
            # Rows in files that were removed meanwhile are not durable yet.
            if self._database.see_to_files():
                return results
        raise sqlite3.OperationalError("the journal was renamed each time while it was written")

    def oldest(self, max_messages: int, max_bytes: int, after: int) -> list[Spooled]:
        """The messages that wait longest, in order; none where there is no journal yet.

        A row that cannot be read (written by another version, or damaged) is set aside, so that it does
        not delay those behind it.
        """

        def read(journal: sqlite3.Connection) -> list[Spooled]:
            messages: list[Spooled] = []
            unreadable: list[dict[str, object]] = []
            size = 0
            # Closed: a statement that is not read to its end would delay the journal's checkpoints.
            with closing(journal.execute(OLDEST, (after, max_messages))) as rows:
                for place, message_id, text in rows:
                    size += len(text)
                    if messages and size > max_bytes:
                        break
                    try:
                        messages.append(Spooled(place, message_of(message_id, text)))
                    except UNREADABLE as error:
                        why = f"{DAMAGED}{type(error).__name__}: {error}"[:300]
                        unreadable.append({"place": place, "id": message_id, "reason": why})
            if unreadable:
                self._set_aside(journal, [{**row, "since": now()} for row in unreadable])
                self.notes += [
                    ("message set aside", {k: row[k] for k in ("id", "reason")})
                    for row in unreadable
                ]
            return messages

        return self._database.run(read) if self._database.exists else []

    def last_place(self) -> int:
        """The greatest place of a message that waits; 0 if none does."""
        if not self._database.exists:
            return 0
        last = self._database.run(
            lambda db: db.execute("SELECT max(place) FROM message").fetchone()
        )
        return int(last[0] or 0)

    def is_empty(self) -> bool:
        """Whether no message waits, and none is set aside."""
        if not self._database.exists:
            return True
        found = self._database.run(lambda db: db.execute(ANY_MESSAGE).fetchone())
        return not found[0]

    def waiting_among(self, ids: Sequence[str]) -> set[str]:
        """Those of the messages with these ids, some hundreds at most, that wait."""
        if not self._database.exists:
            return set()
        statement = f"SELECT id FROM message WHERE id IN ({', '.join('?' * len(ids))})"  # noqa: S608
        return {
            row[0] for row in self._database.run(lambda db: db.execute(statement, ids).fetchall())
        }

    def remove(self, moved: Sequence[Spooled]) -> None:
        """Deletes messages."""

        def delete(journal: sqlite3.Connection) -> None:
            with self._database.transaction(journal):
                journal.executemany(DELETE, [place_of(spooled) for spooled in moved])

        self._database.run(delete)

    def set_aside(self, spooled: Sequence[Spooled], reason: str) -> None:
        """Moves messages to those that are set aside."""
        why = {"reason": reason, "since": now()}
        rows = [{**place_of(each), **why} for each in spooled]

        self._database.run(lambda journal: self._set_aside(journal, rows))

    def retry(self, ids: Sequence[str]) -> int:
        """Moves messages that are set aside to the end of those that wait; returns how many there were."""
        return self._settle(ids, (RETRY, DROP))

    def drop(self, ids: Sequence[str]) -> int:
        """Deletes messages that are set aside; returns how many there were."""
        return self._settle(ids, (DROP,))

    def _settle(self, ids: Sequence[str], statements: Sequence[str]) -> int:
        def settle(journal: sqlite3.Connection) -> int:
            with self._database.transaction(journal):
                for statement in statements:
                    done = journal.executemany(statement, [{"id": each} for each in ids])
            return done.rowcount

        return self._database.run(settle)

    def check(self) -> None:
        """Returns if a message of up to a page could be written now."""

        def write(journal: sqlite3.Connection) -> None:
            # Only an entry that needs a page of its own shows that neither journal nor disk is full.
            with self._database.transaction(journal):
                journal.execute(
                    "INSERT INTO message (id, message) VALUES ('', ?)", (" " * PAGE_BYTES,)
                )
                journal.execute("DELETE FROM message WHERE id = ''")

        self._database.run(write)

    def lead(self) -> bool:
        """Whether there is a journal, and this process of the host drains it.

        The operating system frees the lock of a process that dies.
        """
        self._database.see_to_files()
        if not self._database.exists:
            return False
        if self._lead and not lies_at(self._lead.fileno(), self._folder / LEAD):
            # Another process may hold a lock on the file that took the place of this one.
            self._lead.close()
            self._lead = None
        if self._lead is None:
            try:
                self._lead = _locked(self._folder / LEAD)
            except BlockingIOError:
                return False
        return True

    def close(self) -> None:
        """Closes the connection, and no longer leads."""
        if self._lead:
            self._lead.close()
            self._lead = None
        self._database.close()

    def _set_aside(self, journal: sqlite3.Connection, rows: Sequence[dict[str, object]]) -> None:
        with self._database.transaction(journal):
            journal.executemany(SET_ASIDE, rows)
            journal.executemany(DELETE, rows)


def _locked(path: Path) -> IO[bytes]:
    """A file that this process has locked; closing it frees it. Raises OSError, as `file_locks.lock` does."""
    file = os.fdopen(open_safely(path, os.O_RDWR | os.O_CREAT), "r+b", buffering=0)
    try:
        file_locks.lock(file.fileno())
    except BaseException:
        file.close()
        raise
    return file
