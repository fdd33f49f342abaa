"""Opens a journal so that its log belongs to one database only, and replaces a journal whose files were removed."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from listener.runtime.safe_files import make_safe
from listener.spool.journal_files import Files, JournalFiles, parts
from listener.spool.journal_rows import copy_rows

PAGE_BYTES = 4096
# Below the time that a message has: its answer then says that another process holds the file.
BUSY_TIMEOUT_S = 0.7
# A process that is just closing the journal is waited for.
PROBE_S = 0.05
# What the write-ahead log may take besides the database. As a rule it has 4 MiB and one group.
LOG_BYTES = 32 * 2**20
# Something may remove a file while SQLite opens it.
OPEN_ATTEMPTS = 5

REMOVED = "the journal's files were removed while it was opened"
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


class JournalOpener:
    """Opens and replaces the journal at a path. The caller holds the lock of the folder in every method.

    Every method raises sqlite3.Error or OSError.
    """

    def __init__(self, files: JournalFiles, path: Path, max_pages: int) -> None:
        self._files = files
        self._path = path
        self._max_pages = max_pages

    def open(self) -> tuple[sqlite3.Connection, Files]:
        """A connection to the journal at the path, and the files that it has open; makes one where there is none."""
        for _ in range(OPEN_ATTEMPTS):
            if not self._files.is_recorded():
                self._prepare()
            if opened := self._open_what_is_there():
                return opened
        raise sqlite3.OperationalError(REMOVED)

    def save(self, journal: sqlite3.Connection) -> tuple[sqlite3.Connection, Files]:
        """Copies the rows of a connection whose files were removed to the journal at the path; returns as `open` does.

        Each of the processes that have the files open does this, one after the other. The first makes a
        new database, even if only a part of the old one was removed. Close the old connection afterwards: at any
        moment one of them is open, so that a second removal costs nothing. If it raises, not everything was saved:
        call it again.
        """
        # Another process that has these files open commits before they are copied, or notices afterwards
        # that others are in their place.
        journal.execute("BEGIN IMMEDIATE")
        try:
            opened = self._save(journal)
        finally:
            journal.execute("ROLLBACK")
        self._files.saved()
        return opened

    def _save(self, journal: sqlite3.Connection) -> tuple[sqlite3.Connection, Files]:
        for _ in range(OPEN_ATTEMPTS):
            if not self._files.has_own_database():
                target, files = self._opened_at_path()
                try:
                    copy_rows(journal, target)
                except BaseException:
                    target.close()
                    raise
                return target, files
            self._replace(journal)
            if opened := self._open_what_is_there():
                return opened
        raise sqlite3.OperationalError(REMOVED)

    def _open_what_is_there(self) -> tuple[sqlite3.Connection, Files] | None:
        """As `open`, without making or replacing anything; None if something was removed meanwhile."""
        before = self._files.present
        if before[0] is None:
            return None
        try:
            journal = self._connect(self._path)
        except (sqlite3.Error, OSError):
            if _belong_together(before, self._files.present):
                raise
            return None
        after = self._files.present
        is_whole = None not in after or not has_log(journal)
        if is_whole and _belong_together(before, after) and self._files.is_locked():
            return journal, after
        journal.close()
        return None

    def _opened_at_path(self) -> tuple[sqlite3.Connection, Files]:
        try:
            return self.open()
        except sqlite3.DatabaseError as error:
            if not is_corrupt(error):
                raise
            self._files.rename_corrupt()
            return self.open()

    def _prepare(self) -> None:
        """Sees that one database lies at the path, without a log or shared memory of another one."""
        _make_private(self._path)
        if self._files.has_log_of_another():
            self._files.clear()
        database, *others = self._files.present
        # Beside an empty database SQLite deletes the log, and takes the shared memory for its own.
        if database is None or (any(others) and not self._path.stat().st_size):
            self._replace(None)
        elif self._is_free():
            parts(self._path)[2].unlink(missing_ok=True)
        else:
            self._replace_one_in_use()

    def _is_free(self) -> bool:
        """Whether no process has the database open; the rest of its log is then in the database.

        In exclusive mode SQLite does without shared memory, which may be another database's.
        """
        try:
            with closing(self._bare(self._path, "mode=rw", PROBE_S)) as journal:
                journal.execute("PRAGMA locking_mode = EXCLUSIVE")
                journal.execute("SELECT count(*) FROM sqlite_master").fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                return False
            raise
        return True

    def _replace_one_in_use(self) -> None:
        """Makes a new database with what can be read of one that another process has open with unknown files.

        A worker that has it open notices that, and saves what is missing. Another program, such as the
        `sqlite3` shell, has all of its files in place.
        """
        problem: Exception | None = None
        for how in ("readonly_shm=1", "immutable=1"):
            try:
                with closing(self._bare(self._path, f"mode=ro&{how}", BUSY_TIMEOUT_S)) as source:
                    self._replace(source)
            except sqlite3.Error as error:
                problem = error
            else:
                return
        # Not as corrupt: the process that has it open can read it.
        raise sqlite3.OperationalError(f"{REMOVED}: {problem}") from problem

    def _replace(self, source: sqlite3.Connection | None) -> None:
        """Puts a new database with the rows of another one, if any, in place of what lies at the path."""
        fresh = Path(f"{self._path}.new")
        for part in parts(fresh):
            part.unlink(missing_ok=True)
        make_safe(fresh, create=True)
        # A database that is closed is one file.
        with closing(self._connect(fresh)) as target:
            if source:
                copy_rows(source, target)
        self._files.clear()
        fresh.rename(self._path)
        _sync(self._path.parent)

    def _connect(self, path: Path) -> sqlite3.Connection:
        _make_private(path)
        # Never created here: a new database would get the log that still lies there.
        journal = self._bare(path, "mode=rw", BUSY_TIMEOUT_S)
        try:
            journal.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            mode = journal.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            # SQLite syncs the write-ahead log before it copies it into the database, and
            # `JournalDatabase.transaction` after each commit. A file system that cannot have such a log gets
            # SQLite's own syncs.
            journal.execute(f"PRAGMA synchronous = {'NORMAL' if mode == 'wal' else 'EXTRA'}")
            journal.execute(f"PRAGMA max_page_count = {self._max_pages}")
            journal.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
            # A journal of an earlier version gets the table that it lacks.
            journal.executescript(SCHEMA)
        except BaseException:
            journal.close()
            raise
        return journal

    @staticmethod
    def _bare(path: Path, how: str, timeout_s: float) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{path.absolute().as_uri()}?{how}",
            uri=True,
            timeout=timeout_s,
            isolation_level=None,
            check_same_thread=False,
        )


def is_corrupt(error: sqlite3.Error) -> bool:
    """Whether SQLite says that a file is damaged, or no database."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in CORRUPT


def has_log(journal: sqlite3.Connection) -> bool:
    """Whether the file system can have a write-ahead log."""
    return bool(journal.execute("PRAGMA journal_mode").fetchone()[0] == "wal")


def _belong_together(before: Files, after: Files) -> bool:
    """Whether what lay there before SQLite opened it is there still; it makes what was missing."""
    return before[0] is not None and all(
        old in (None, new) for old, new in zip(before, after, strict=True)
    )


def _make_private(path: Path) -> None:
    """SQLite follows a link, and gives what it makes the mode of the database; that has another mode perhaps."""
    for part in parts(path):
        make_safe(part, create=False)


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
