"""The spool's SQLite database, shared by the processes of a host. Every call blocks for its disk."""

import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TypeVar

from listener.messages import Message, timestamp
from listener.private_files import make_private, open_private
from listener.queue.journal_files import LOG_BYTES, JournalFiles, inode

Result = TypeVar("Result")

JOURNAL = "spool.db"
LEAD = "drainer.lock"
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
PUT_ASIDE = "INSERT INTO set_aside (id, message, reason, since) VALUES (?, ?, ?, ?)"
SET_ASIDE = """
INSERT OR IGNORE INTO set_aside (id, message, reason, since)
SELECT id, message, :reason, :since FROM message WHERE place = :place AND id = :id
"""
# As bytes: a text that is no UTF-8 would fail the whole statement.
OLDEST = """
SELECT place, id, CAST(message AS BLOB) FROM message WHERE place > ? ORDER BY place LIMIT ?
"""
FIELDS = frozenset(field.name for field in fields(Message))
# What `message_of` raises for a row that is no message.
UNREADABLE = (ValueError, TypeError, LookupError, AttributeError)
DELETE = "DELETE FROM message WHERE place = :place AND id = :id"
RETRY = """
INSERT OR IGNORE INTO message (id, message) SELECT id, message FROM set_aside WHERE id = :id
"""
DROP = "DELETE FROM set_aside WHERE id = :id"


@dataclass(frozen=True)
class Spooled:
    """A message in the journal, and its place in the order of arrival there."""

    place: int
    message: Message


@dataclass(frozen=True)
class SetAside:
    """A message that Redis refused by itself.

    Attributes:
        reason: what Redis said.
        since: when it was set aside, RFC 3339, UTC.
    """

    message: Message
    reason: str
    since: str


class Journal:
    """A connection to the journal; opened when first needed, and anew where another file lies there.

    For one thread at a time. Every method may block for as long as the disk takes, and raises
    sqlite3.Error or OSError. A journal that is corrupt is renamed, never deleted, and a new one is
    begun. `notes` lists what should be logged: an event and its details.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._path = folder / JOURNAL
        self._max_pages = max(max_bytes // PAGE_BYTES, 4)
        self._connection: sqlite3.Connection | None = None
        self._files = JournalFiles(self._path)
        self._inode = 0
        self._has_log = True
        self._lead: IO[bytes] | None = None
        self.notes: list[tuple[str, dict[str, object]]] = []

    def put(self, messages: Sequence[Message | SetAside]) -> list[bool]:
        """Writes messages and syncs them; for each, whether it was there already.

        All of them or, if it raises, none.
        """

        def insert(journal: sqlite3.Connection) -> list[bool]:
            self._check_size(journal)
            with self._transaction(journal):
                return _insert(journal, messages)

        found = self._run(insert)
        # What went into files that were removed meanwhile is not kept yet.
        self._see_to_files()
        return found

    def oldest(self, most: int, most_bytes: int, beyond: int) -> list[Spooled]:
        """The messages that wait longest, in order; none where there is no journal yet.

        A row that cannot be read (written by another version, or damaged) is set aside: it must not
        hold up those behind it.
        """

        def read(journal: sqlite3.Connection) -> list[Spooled]:
            found: list[Spooled] = []
            unreadable: list[dict[str, object]] = []
            size = 0
            # Closed: a statement that is not read to its end would hold up the journal's checkpoints.
            with closing(journal.execute(OLDEST, (beyond, most))) as rows:
                for place, message_id, text in rows:
                    size += len(text)
                    if found and size > most_bytes:
                        break
                    try:
                        found.append(Spooled(place, message_of(text)))
                    except UNREADABLE as error:
                        why = f"unreadable: {type(error).__name__}: {error}"[:300]
                        unreadable.append({"place": place, "id": message_id, "reason": why})
            if unreadable:
                self._set_aside(journal, [{**row, "since": now()} for row in unreadable])
                self.notes += [
                    ("message set aside", {k: row[k] for k in ("id", "reason")})
                    for row in unreadable
                ]
            return found

        return self._run(read) if inode(self._path) else []

    def last_place(self) -> int:
        """The greatest place of a message that waits; 0 if none does."""
        if not inode(self._path):
            return 0
        last = self._run(lambda db: db.execute("SELECT max(place) FROM message").fetchone())
        return int(last[0] or 0)

    def waiting_among(self, ids: Sequence[str]) -> set[str]:
        """Those of the messages with these ids, some hundreds at the most, that wait."""
        if not inode(self._path):
            return set()
        statement = f"SELECT id FROM message WHERE id IN ({', '.join('?' * len(ids))})"  # noqa: S608
        return {row[0] for row in self._run(lambda db: db.execute(statement, ids).fetchall())}

    def remove(self, moved: Sequence[Spooled]) -> None:
        """Deletes messages."""

        def delete(journal: sqlite3.Connection) -> None:
            with self._transaction(journal):
                journal.executemany(DELETE, [_place(spooled) for spooled in moved])

        self._run(delete)

    def set_aside(self, spooled: Sequence[Spooled], reason: str) -> None:
        """Moves messages to those that are set aside."""
        why = {"reason": reason, "since": now()}
        rows = [{**_place(each), **why} for each in spooled]

        self._run(lambda journal: self._set_aside(journal, rows))

    def retry(self, ids: Sequence[str]) -> int:
        """Lets messages that are set aside wait again, behind all others; returns how many there were."""
        return self._settle(ids, (RETRY, DROP))

    def drop(self, ids: Sequence[str]) -> int:
        """Deletes messages that are set aside; returns how many there were."""
        return self._settle(ids, (DROP,))

    def _settle(self, ids: Sequence[str], statements: Sequence[str]) -> int:
        def settle(journal: sqlite3.Connection) -> int:
            with self._transaction(journal):
                for statement in statements:
                    done = journal.executemany(statement, [{"id": each} for each in ids])
            return done.rowcount

        return self._run(settle)

    def depth(self) -> int:
        """How many messages wait."""
        if not inode(self._path):
            return 0
        count = self._run(lambda db: db.execute("SELECT count(*) FROM message").fetchone())
        return int(count[0])

    def check(self) -> None:
        """Returns if a message of up to a page could be written now."""

        def write(journal: sqlite3.Connection) -> None:
            # Only an entry that needs a page of its own shows that neither journal nor disk is full.
            with self._transaction(journal):
                journal.execute(
                    "INSERT INTO message (id, message) VALUES ('', ?)", (" " * PAGE_BYTES,)
                )
                journal.execute("DELETE FROM message WHERE id = ''")

        self._run(write)

    def lead(self) -> bool:
        """Whether there is a journal, and this process is the one of the host that drains it.

        The operating system frees the lock of a process that dies.
        """
        self._see_to_files()
        if not inode(self._path):
            return False
        if self._lead is None:
            try:
                self._lead = _locked(self._folder / LEAD, fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    def close(self) -> None:
        """Closes the connection, and no longer leads."""
        if self._lead:
            self._lead.close()
            self._lead = None
        try:
            self._see_to_files()
        finally:
            self._close()

    def _set_aside(self, journal: sqlite3.Connection, rows: Sequence[dict[str, object]]) -> None:
        with self._transaction(journal):
            journal.executemany(SET_ASIDE, rows)
            journal.executemany(DELETE, rows)

    def _check_size(self, journal: sqlite3.Connection) -> None:
        """Raises sqlite3.OperationalError where the log cannot shrink, and has as much as the journal may have."""
        most = self._max_pages * PAGE_BYTES + LOG_BYTES
        if self._files.bytes > most:
            journal.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if self._files.bytes > most:
                raise sqlite3.OperationalError(
                    "the journal's log cannot shrink: another process has the journal open for reading"
                )

    def _run(self, action: Callable[[sqlite3.Connection], Result]) -> Result:
        try:
            return action(self._opened())
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in CORRUPT:
                raise
            self._rename_corrupt()
            return action(self._opened())

    def _opened(self) -> sqlite3.Connection:
        """A connection to the journal that lies at the path now: another process may have renamed ours."""
        self._see_to_files()
        if not self._connection:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._inode = inode(self._path)
            with self._alone():
                self._connection = self._open(self._path)
                self._inode = inode(self._path)
                self._files.opened()
        return self._connection

    def _see_to_files(self) -> None:
        """Closes a connection whose files were removed, once what is in them is saved."""
        journal = self._connection
        if journal is None or self._files.is_in_place():
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._alone():
            # Another process that closes the old files has moved the new ones away for a moment.
            if self._files.is_in_place():
                return
            if self._files.save(journal, self._open):
                self.notes.append(("journal files removed", {"folder": str(self._folder)}))
            self._connection, self._inode = None, 0
            self._files.close(journal)

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
        make_private(path, create=True)
        for part in (f"{path}-wal", f"{path}-shm"):
            make_private(Path(part), create=False)
        journal = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        try:
            journal.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            mode = journal.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            # SQLite syncs the write-ahead log before it copies it into the database, and `_transaction`
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
    def _transaction(self, journal: sqlite3.Connection) -> Iterator[None]:
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
            log = os.open(f"{self._path}-wal", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fdatasync(log)
            finally:
                os.close(log)
        except FileNotFoundError:
            # It was removed. `put` saves what is in it before anybody is answered.
            if self._files.is_in_place():
                raise

    def _rename_corrupt(self) -> None:
        """Renames a corrupt journal, unless another process already has."""
        corrupt = self._inode
        self._close()
        with self._alone():
            if corrupt == inode(self._path):
                stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
                for part in self._folder.glob(f"{JOURNAL}*"):
                    if ".corrupt-" not in part.name:
                        part.rename(f"{part}.corrupt-{stamp}")
                self.notes.append(("journal is corrupt and was set aside", {"stamp": stamp}))

    def _close(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection, self._inode = None, 0


def message_of(text: str | bytes) -> Message:
    """A message as the journal holds it; what a later version added to it is left out.

    Raises:
        UNREADABLE: it is none.
    """
    content = {name: value for name, value in json.loads(text).items() if name in FIELDS}
    return Message(**{**content, "data": content["data"].encode()})


def now() -> str:
    """RFC 3339, UTC."""
    return timestamp(datetime.now(UTC))


def _insert(journal: sqlite3.Connection, items: Sequence[Message | SetAside]) -> list[bool]:
    """For each, whether it was there already.

    In few statements: at each, the thread that serves requests may keep the interpreter for 5 ms.
    """
    ids = [item.message.id if isinstance(item, SetAside) else item.id for item in items]
    marks = ", ".join("?" * len(ids))
    known = (
        f"SELECT id FROM message WHERE id IN ({marks}) "  # noqa: S608 (only question marks)
        f"UNION ALL SELECT id FROM set_aside WHERE id IN ({marks})"
    )
    there = {each for (each,) in journal.execute(known, ids * 2)}
    waiting: list[str] = []
    found = []
    for each, item in zip(ids, items, strict=True):
        found.append(each in there)
        there.add(each)
        if found[-1]:
            continue
        if isinstance(item, SetAside):
            row = (each, _text(item.message), item.reason, item.since)
            journal.execute(PUT_ASIDE, row)
        else:
            waiting += (each, _text(item))
    if waiting:
        rows = ", ".join(["(?, ?)"] * (len(waiting) // 2))
        journal.execute(f"INSERT INTO message (id, message) VALUES {rows}", waiting)  # noqa: S608 (as above)
    return found


def _text(message: Message) -> str:
    return json.dumps({**asdict(message), "data": message.data.decode()}, ensure_ascii=False)


def _place(spooled: Spooled) -> dict[str, object]:
    # The id as well: a journal begun anew in the meantime has the same places for others.
    return {"place": spooled.place, "id": spooled.message.id}


def _locked(path: Path, flags: int = 0) -> IO[bytes]:
    """A file that this process has locked; closing it frees it. Raises OSError."""
    file = os.fdopen(open_private(path, os.O_RDWR | os.O_CREAT), "r+b", buffering=0)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | flags)
    except BaseException:
        file.close()
        raise
    return file
