"""The journal's SQLite connection: opened when first needed, synced after each commit, saved when its files are removed."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from listener.spool.journal_files import Files, Identity, JournalFiles, identity
from listener.spool.journal_opening import LOG_BYTES, PAGE_BYTES, JournalOpener, has_log, is_corrupt

Result = TypeVar("Result")

JOURNAL = "spool.db"
# macOS has only fsync.
fdatasync = getattr(os, "fdatasync", os.fsync)


class JournalDatabase:
    """A connection to the database; opened when first needed, and anew where another file lies there.

    For one thread at a time. Every method may block for as long as the disk takes, and raises
    sqlite3.Error or OSError. A database that is corrupt is renamed, never deleted, and a new one is
    begun. `notes` lists what should be logged: an event and its details.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self.path = folder / JOURNAL
        self._max_pages = max(max_bytes // PAGE_BYTES, 4)
        self._connection: sqlite3.Connection | None = None
        self._files = JournalFiles(self.path)
        self._opener = JournalOpener(self._files, self.path, self._max_pages)
        self._database: Identity = None
        self._has_log = True
        self.notes: list[tuple[str, dict[str, object]]] = []

    @property
    def exists(self) -> bool:
        """Whether there is a database at the path."""
        return identity(self.path) is not None

    def close(self) -> None:
        """Closes the connection, once what is in removed files is saved."""
        try:
            self.see_to_files()
        finally:
            self._close()

    def check_size(self, journal: sqlite3.Connection) -> None:
        """Raises sqlite3.OperationalError if the log cannot shrink, and is as large as the journal may be."""
        most = self._max_pages * PAGE_BYTES + LOG_BYTES
        if self._files.bytes > most:
            journal.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if self._files.bytes > most:
                raise sqlite3.OperationalError(
                    "the journal's log cannot shrink: another process has the journal open for reading"
                )

    def run(self, action: Callable[[sqlite3.Connection], Result]) -> Result:
        """Returns the result of `action` on the open database; renames a corrupt one, and retries on a new one."""
        try:
            return action(self._opened())
        except sqlite3.DatabaseError as error:
            if not is_corrupt(error):
                raise
            # With files that were removed it may seem corrupt, and is only to be saved.
            if self._connection is None or self._files.is_in_place():
                self._rename_corrupt()
            return action(self._opened())

    def _opened(self) -> sqlite3.Connection:
        """A connection to the journal that lies at the path now: another process may have renamed ours."""
        self.see_to_files()
        if self._connection:
            return self._connection
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._database = identity(self.path)
        with self._files.locked():
            return self._take(*self._opener.open())

    def see_to_files(self) -> bool:
        """Opens the journal at the path in place of one whose files were removed, and saves what is in these.

        Returns:
            Whether the rows of the connection are in the journal at the path. They are not where
            another process found the journal corrupt and renamed it.
        """
        journal = self._connection
        if journal is None or self._files.is_in_place():
            return True
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._files.locked():
            if self._files.was_renamed():
                self._close()
                return False
            target, files = self._opener.save(journal)
            # SQLite deletes no log by its name where another database lies at the path.
            self._close()
            self._take(target, files)
        self.notes.append(("journal files removed", {"folder": str(self._folder)}))
        return True

    def _take(self, journal: sqlite3.Connection, files: Files) -> sqlite3.Connection:
        self._connection, self._database = journal, files[0]
        self._files.opened(files)
        self._has_log = has_log(journal)
        return journal

    @contextmanager
    def transaction(self, journal: sqlite3.Connection) -> Iterator[None]:
        """Commits, and returns once it is synced.

        SQLite would sync while it holds its lock, so that processes would wait for each other's
        syncs. Here they sync at the same time, and a sync covers what all of them have committed.
        """
        journal.execute("BEGIN IMMEDIATE")
        try:
            yield
            journal.execute("COMMIT")
        except BaseException:
            if journal.in_transaction:
                journal.execute("ROLLBACK")
            raise
        # Also if nothing changed: another process may have committed it, and not synced it yet.
        if self._has_log:
            self._sync_log()

    def _sync_log(self) -> None:
        try:
            log = os.open(f"{self.path}-wal", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            # It was removed. `put` saves its rows before any message is acknowledged.
            if self._files.is_in_place():
                raise
            return
        try:
            fdatasync(log)
        finally:
            os.close(log)

    def _rename_corrupt(self) -> None:
        """Renames a corrupt journal, unless another process already has."""
        with self._files.locked():
            # Before it is closed: then a new file may have the same inode.
            if self._database == identity(self.path):
                stamp = self._files.rename_corrupt()
                self.notes.append(("journal is corrupt and was set aside", {"stamp": stamp}))
            self._close()

    def _close(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection, self._database = None, None
