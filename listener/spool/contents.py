"""What this host's spool holds, as other processes see it: no file is made or changed."""

import fcntl
import json
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from listener.messages.message import Message
from listener.runtime.native_thread import NativeThread
from listener.spool.journal_database import JOURNAL
from listener.spool.journal_files import locked, parts
from listener.spool.journal_rows import UNREADABLE, message_of

State = Literal["waiting", "set-aside"]

# The status page and `/metrics` wait no longer for a disk that hangs.
READ_TIMEOUT_S = 1.0
BUSY_TIMEOUT_S = 0.5

# As bytes: a text that is no UTF-8 would fail the whole statement.
WAITING = "SELECT id, CAST(message AS BLOB) FROM message ORDER BY place"
SET_ASIDE = "SELECT id, CAST(message AS BLOB), reason, since FROM set_aside ORDER BY place"

# Not the queue's thread, so that reading waits for no message, and no message for reading.
_thread = NativeThread()


@dataclass(frozen=True)
class SpoolStatus:
    """The number and size of the messages in SPOOL_DIR.

    Attributes:
        messages: how many wait for Redis.
        oldest: when the first of them arrived; None: there is none, or its row cannot be read.
        bytes: the part of SPOOL_MAX_BYTES that all messages take. The journal's files take more of the
            disk: they do not shrink when messages have moved.
        set_aside: how many Redis refused by themselves.
        corrupt: see `corrupt_journals`.
    """

    messages: int = 0
    oldest: datetime | None = None
    bytes: int = 0
    set_aside: int = 0
    corrupt: tuple[str, ...] = ()


@dataclass(frozen=True)
class JournalMessage:
    """A message in the journal; `reason` and `since` (RFC 3339) only of one that is set aside."""

    state: State
    message: Message
    reason: str = ""
    since: str = ""


def read_status(folder: Path, *, in_service: bool) -> SpoolStatus:
    """Reads the status of SPOOL_DIR, in a native thread.

    Args:
        folder: SPOOL_DIR.
        in_service: whether this process may have the journal open, to write to it.

    Raises:
        OSError, sqlite3.Error: the journal cannot be read, or not in a second.
    """
    return _thread.run(lambda: _read_status(folder, in_service), READ_TIMEOUT_S)


def corrupt_journals(folder: Path) -> tuple[str, ...]:
    """When the corrupt journals that lie in SPOOL_DIR were renamed, as their names say; blocks for the disk."""
    return tuple(
        sorted({path.name.rpartition(".corrupt-")[2] for path in folder.glob("*.corrupt-*")})
    )


def read_messages(folder: Path, state: State | None = None) -> Iterator[JournalMessage]:
    """The messages in the journal in their order, those that are set aside first; blocks for the disk.

    Args:
        folder: SPOOL_DIR.
        state: only the messages in this state.

    Raises:
        OSError, sqlite3.Error: the journal cannot be read.
    """
    with _reading(folder, in_service=False) as journal:
        if journal is None:
            return
        if state != "waiting" and _has_set_aside(journal):
            for message_id, text, reason, since in journal.execute(SET_ASIDE):
                yield JournalMessage("set-aside", _message(message_id, text, since), reason, since)
        if state != "set-aside":
            for message_id, text in journal.execute(WAITING):
                yield JournalMessage("waiting", _message(message_id, text))


def _read_status(folder: Path, in_service: bool) -> SpoolStatus:
    corrupt = corrupt_journals(folder)
    with _reading(folder, in_service=in_service) as journal:
        if journal is None:
            return SpoolStatus(corrupt=corrupt)
        first = journal.execute(f"{WAITING} LIMIT 1").fetchone()
        pages, free, size = (
            _number(journal, f"PRAGMA {name}")
            for name in ("page_count", "freelist_count", "page_size")
        )
        return SpoolStatus(
            messages=_number(journal, "SELECT count(*) FROM message"),
            oldest=_time(first[1]) if first else None,
            bytes=(pages - free) * size,
            set_aside=_number(journal, "SELECT count(*) FROM set_aside")
            if _has_set_aside(journal)
            else 0,
            corrupt=corrupt,
        )


@contextmanager
def _reading(folder: Path, *, in_service: bool) -> Iterator[sqlite3.Connection | None]:
    """The journal, opened so that SQLite makes no file beside it; None: there is none."""
    path = folder / JOURNAL
    try:
        path.stat()
    except FileNotFoundError:
        yield None
        return
    # A worker that replaces the journal meanwhile would leave this connection with the files of two.
    with locked(folder, fcntl.LOCK_SH) if in_service else nullcontext():
        address = f"{path.absolute().as_uri()}?mode=ro{_options(path, in_service)}"
        journal = sqlite3.connect(address, uri=True, timeout=BUSY_TIMEOUT_S)
        with ExitStack() as opened:
            opened.callback(journal.close)
            # Only now SQLite opens log and shared memory.
            _number(journal, "SELECT count(*) FROM sqlite_master")
            opening = opened.pop_all()
    with opening:
        yield journal


def _options(path: Path, in_service: bool) -> str:
    _, log, _ = parts(path)
    if not log.exists() or not log.stat().st_size:
        # The database has all messages.
        return "&immutable=1"
    # SQLite shares this memory among the connections of a process: the service's would become
    # read-only as well.
    return "" if in_service else "&readonly_shm=1"


def _has_set_aside(journal: sqlite3.Connection) -> bool:
    """Whether the service has opened this journal since the version that sets aside."""
    tables = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'set_aside'"
    return bool(_number(journal, tables))


def _number(journal: sqlite3.Connection, query: str) -> int:
    return int(journal.execute(query).fetchone()[0])


def _message(message_id: str, text: bytes, since: str = "") -> Message:
    """The message of a row; of one that cannot be read, a message whose `data` is the row's text."""
    try:
        return message_of(message_id, text)
    except UNREADABLE:
        return Message(
            id=message_id,
            kind="unreadable",
            type="unreadable",
            account=None,
            subject=None,
            time=since,
            request_id="",
            data=text,
        )


def _time(text: bytes) -> datetime | None:
    try:
        return datetime.fromisoformat(json.loads(text)["time"]).astimezone(UTC)
    except UNREADABLE:
        # The drainer will set this row aside.
        return None
