"""The journal's database: opened when first needed, synced in a way that processes share, and saved when its files go."""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from listener.runtime.safe_files import make_safe
from listener.spool.journal_files import LOG_BYTES, JournalFiles, inode

Result = TypeVar("Result")

JOURNAL = "spool.db"
PAGE_BYTES = 4096
# Below the time that a message has: its answer then says that another process holds the file.
BUSY_TIMEOUT_S = 0.7
# macOS has only fsync.
fdatasync = getattr(os, "fdatasync", os.fsync)
CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

SCHEMA = """
CREATE TABLE IF NOT EXISTS message (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    message TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS set_aside (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    message TEXT NOT NULL,
    reason TEXT NOT NULL,
    since TEXT NOT NULL
);
"""


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
        self._inode = 0
        self._has_log = True
        self.notes: list[tuple[str, dict[str, object]]] = []

    @property
    def exists(self) -> bool:
        """Whether there is a database at the path."""
        return bool(inode(self.path))

    def close(self) -> None:
        """Closes the connection, once what is in removed files is saved."""
        try:
            self.see_to_files()
        finally:
            self._close()

    def check_size(self, journal: sqlite3.Connection) -> None:
        """Raises sqlite3.OperationalError where the log cannot shrink, and has as much as the journal may have."""
        most = self._max_pages * PAGE_BYTES + LOG_BYTES
        if self._files.bytes > most:
            journal.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if self._files.bytes > most:
                raise sqlite3.OperationalError(
                    "the journal's log cannot shrink: another process has the journal open for reading"
                )

    def run(self, action: Callable[[sqlite3.Connection], Result]) -> Result:
        """What `action` makes of the open database; a corrupt one is renamed, and `action` gets a new one."""
        try:
            return action(self._opened())
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in CORRUPT:
                raise
            self._rename_corrupt()
            return action(self._opened())

    def _opened(self) -> sqlite3.Connection:
        """A connection to the journal that lies at the path now: another process may have renamed ours."""
        self.see_to_files()
        if not self._connection:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._inode = inode(self.path)
            with self._alone():
                self._connection = self._open(self.path)
                self._inode = inode(self.path)
                self._files.opened()
        return self._connection

    def see_to_files(self) -> bool:
        """Closes a connection whose files were removed, once what is in them is saved.

        Returns:
            Whether the rows of the connection are in the journal at the path. They are not where
            another process found the journal corrupt and renamed it.
        """
        journal = self._connection
        if journal is None or self._files.is_in_place():
            return True
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._alone():
            # Another process that closes the old files has moved the new ones away for a moment.
            if self._files.is_in_place():
                return True
            saved = self._files.save(journal, self._open)
            if saved:
                self.notes.append(("journal files removed", {"folder": str(self._folder)}))
            self._connection, self._inode = None, 0
            self._files.close(journal)
        return saved

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other process opens, renames or replaces the journal meanwhile.

        The folder itself is locked: a file for it could be removed as well.
        """
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _open(self, path: Path) -> sqlite3.Connection:
        # SQLite follows a link, and gives what it makes the mode that the umask leaves. Log and shared
        # memory get the mode of the database, or had another before.
        make_safe(path, create=True)
        for part in (f"{path}-wal", f"{path}-shm"):
            make_safe(Path(part), create=False)
        journal = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        try:
            journal.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            mode = journal.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            # SQLite syncs the write-ahead log before it copies it into the database, and `transaction`
            # after each commit. A file system that cannot have such a log gets SQLite's own syncs.
            self._has_log = mode == "wal"
            journal.execute(f"PRAGMA synchronous = {'NORMAL' if self._has_log else 'EXTRA'}")
            journal.execute(f"PRAGMA max_page_count = {self._max_pages}")
            journal.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
            # A journal of an earlier version gets the table that it lacks.
            journal.executescript(SCHEMA)
        except BaseException:
            journal.close()
            raise
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
        # Also where nothing changed: another process may have committed it, and not synced it yet.
        if self._has_log:
            self._sync_log()

    def _sync_log(self) -> None:
        try:
            log = self._open_log()
        except FileNotFoundError:
            # It was removed. `put` saves what is in it before anybody is answered.
            if self._files.is_in_place():
                raise
            return
        try:
            fdatasync(log)
        finally:
            os.close(log)

    def _open_log(self) -> int:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(f"{self.path}-wal", flags)
        except FileNotFoundError:
            # Another process that closes removed files moves the log away for a moment, under this lock.
            with self._alone():
                return os.open(f"{self.path}-wal", flags)

    def _rename_corrupt(self) -> None:
        """Renames a corrupt journal, unless another process already has."""
        corrupt = self._inode
        self._close()
        with self._alone():
            if corrupt == inode(self.path):
                stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
                for part in self._folder.glob(f"{JOURNAL}*"):
                    if ".corrupt-" not in part.name:
                        part.rename(f"{part}.corrupt-{stamp}")
                self.notes.append(("journal is corrupt and was set aside", {"stamp": stamp}))

    def _close(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection, self._inode = None, 0
