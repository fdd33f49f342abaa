"""A journal on local disk for messages that Redis did not confirm; the host's workers share it."""

import fcntl
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import structlog

from listener.errors import QueueUnavailableError
from listener.messages import Message
from listener.queue.commit import GroupCommit

log = structlog.get_logger("listener.spool")

Result = TypeVar("Result")

JOURNAL = "spool.db"
PAGE_BYTES = 4096
BUSY_TIMEOUT_S = 1.0
MOST_MESSAGES = 256
MOST_BYTES = 16 * 2**20
CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

SCHEMA = """
CREATE TABLE IF NOT EXISTS message (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    message TEXT NOT NULL
)
"""


@dataclass(frozen=True)
class Spooled:
    """A message in the journal, and its place in the order of arrival there."""

    place: int
    message: Message


class Spool:
    """A SQLite journal: write-ahead log, synced to the disk before `put` returns.

    Guaranteed: after `put` returned, the message survives the crash of every process and of the
    host, as far as its disk keeps what it was told to sync. A message that is in the journal is not
    added again. A journal that is corrupt is set aside, never deleted, and a new one is begun. Not
    guaranteed: anything when the disk itself is lost.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Opens nothing yet: a worker opens it after its fork.

        Args:
            folder: where the journal lies; made if need be.
            max_bytes: what the journal may take; beyond, messages are refused.
        """
        self._folder = folder
        self._path = folder / JOURNAL
        self._max_pages = max(max_bytes // PAGE_BYTES, 4)
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._lock = threading.Lock()
        self._commit: GroupCommit[Message, bool] = GroupCommit(
            self._insert,
            size=lambda message: len(message.data),
            most_items=MOST_MESSAGES,
            most_bytes=MOST_BYTES,
        )

    def put(self, message: Message, timeout_s: float) -> bool:
        """Journals a message; true if it is there already.

        Raises:
            QueueUnavailableError: full, unwritable, or not in time.
        """
        try:
            return self._commit.submit(message, timeout_s)
        except (sqlite3.Error, OSError, TimeoutError) as error:
            raise _unavailable(error) from error

    def oldest(self, most: int, most_bytes: int = MOST_BYTES, *, beyond: int = 0) -> list[Spooled]:
        """The messages that wait longest, in the order of their arrival.

        Args:
            most: how many.
            most_bytes: of all of them together, roughly; a single message may have more.
            beyond: only those behind this place.

        Raises:
            QueueUnavailableError: the journal cannot be read.
        """

        def read(journal: sqlite3.Connection) -> list[Spooled]:
            found: list[Spooled] = []
            size = 0
            statement = "SELECT place, message FROM message WHERE place > ? ORDER BY place LIMIT ?"
            # Closed: a statement that is not read to its end would hold up the journal's checkpoints.
            with closing(journal.execute(statement, (beyond, most))) as rows:
                for place, text in rows:
                    size += len(text)
                    if found and size > most_bytes:
                        break
                    found.append(Spooled(place, _message(text)))
            return found

        return self._run(read)

    def remove(self, moved: Sequence[Spooled]) -> None:
        """Forgets messages that Redis has confirmed.

        Raises:
            QueueUnavailableError: the journal cannot be written; they are all still there.
        """
        # The id as well: a journal begun anew in the meantime has the same places for others.
        entries = [(spooled.place, spooled.message.id) for spooled in moved]

        def delete(journal: sqlite3.Connection) -> None:
            with _transaction(journal):
                journal.executemany("DELETE FROM message WHERE place = ? AND id = ?", entries)

        self._run(delete)

    def depth(self) -> int:
        """How many messages wait.

        Raises:
            QueueUnavailableError: the journal cannot be read.
        """
        count = self._run(lambda db: db.execute("SELECT count(*) FROM message").fetchone())
        return int(count[0])

    def check(self) -> None:
        """Returns if a message of up to a page could be journalled now.

        Raises:
            QueueUnavailableError: it could not.
        """

        def write(journal: sqlite3.Connection) -> None:
            # Only an entry that needs a page of its own shows that neither journal nor disk is full.
            with _transaction(journal):
                journal.execute(
                    "INSERT INTO message (id, message) VALUES ('', ?)", (" " * PAGE_BYTES,)
                )
                journal.execute("DELETE FROM message WHERE id = ''")

        self._run(write)

    def close(self) -> None:
        """Closes this process's connection, once what was put is written."""
        self._commit.close()
        with self._lock:
            self._close()

    def _insert(self, group: Sequence[Message]) -> list[bool]:
        def insert(journal: sqlite3.Connection) -> list[bool]:
            with _transaction(journal):
                return [self._insert_one(journal, message) for message in group]

        return self._with_journal(insert)

    @staticmethod
    def _insert_one(journal: sqlite3.Connection, message: Message) -> bool:
        text = json.dumps({**asdict(message), "data": message.data.decode()}, ensure_ascii=False)
        statement = "INSERT OR IGNORE INTO message (id, message) VALUES (?, ?)"
        return journal.execute(statement, (message.id, text)).rowcount == 0

    def _run(self, action: Callable[[sqlite3.Connection], Result]) -> Result:
        try:
            return self._with_journal(action)
        except (sqlite3.Error, OSError) as error:
            raise _unavailable(error) from error

    def _with_journal(self, action: Callable[[sqlite3.Connection], Result]) -> Result:
        with self._lock:
            try:
                return action(self._opened())
            except sqlite3.DatabaseError as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF not in CORRUPT:
                    raise
                self._set_aside(error)
                return action(self._opened())

    def _opened(self) -> sqlite3.Connection:
        """The journal that lies at the path now: another worker may have set ours aside."""
        if self._connection and self._inode != _inode(self._path):
            self._close()
        if not self._connection:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._inode = _inode(self._path)
            self._connection = self._open()
            self._inode = _inode(self._path)
        return self._connection

    def _open(self) -> sqlite3.Connection:
        journal = sqlite3.connect(
            self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        try:
            journal.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            journal.execute("PRAGMA journal_mode = WAL")
            journal.execute("PRAGMA synchronous = FULL")
            journal.execute(f"PRAGMA max_page_count = {self._max_pages}")
            journal.execute(SCHEMA)
        except BaseException:
            journal.close()
            raise
        return journal

    def _set_aside(self, error: sqlite3.DatabaseError) -> None:
        """Renames a corrupt journal, unless another worker already has."""
        corrupt = self._inode
        self._close()
        with (self._folder / "set-aside.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if corrupt == _inode(self._path):
                stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
                for part in self._folder.glob(f"{JOURNAL}*"):
                    if ".corrupt-" not in part.name:
                        part.rename(f"{part}.corrupt-{stamp}")
                log.error("journal is corrupt and was set aside", detail=str(error), stamp=stamp)

    def _close(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection, self._inode = None, 0


@contextmanager
def _transaction(journal: sqlite3.Connection) -> Iterator[None]:
    journal.execute("BEGIN IMMEDIATE")
    try:
        yield
        journal.execute("COMMIT")
    except BaseException:
        if journal.in_transaction:
            journal.execute("ROLLBACK")
        raise


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


def _message(text: str) -> Message:
    content = json.loads(text)
    return Message(**{**content, "data": content["data"].encode()})


def _unavailable(error: Exception) -> QueueUnavailableError:
    return QueueUnavailableError(f"spool: {type(error).__name__}: {error}"[:300])
