"""What this host's spool holds, seen from outside: no file of it is made or changed."""

import fcntl
import json
import os
import pwd
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar

from listener.messages.message import Message
from listener.runtime import safe_files
from listener.runtime.native_thread import NativeThread
from listener.spool.journal import LEAD
from listener.spool.journal_database import JOURNAL
from listener.spool.journal_files import locked
from listener.spool.journal_opening import PAGE_BYTES
from listener.spool.journal_rows import UNREADABLE, message_of

Result = TypeVar("Result")
State = Literal["waiting", "set-aside"]

# The status page and `/metrics` are not to wait longer for a disk that hangs.
LOOK_S = 1.0
BUSY_TIMEOUT_S = 0.5

# As bytes: a text that is no UTF-8 would fail the whole statement.
WAITING = "SELECT id, CAST(message AS BLOB) FROM message ORDER BY place"
SET_ASIDE = "SELECT id, CAST(message AS BLOB), reason, since FROM set_aside ORDER BY place"

# Not the one of the queue: a look waits for no message, and no message for a look.
_thread = NativeThread()


@dataclass(frozen=True)
class Waiting:
    """What is in SPOOL_DIR.

    Attributes:
        messages: how many wait for Redis.
        oldest: when the first of them arrived; None: there is none, or it does not say.
        bytes: what all messages take of SPOOL_MAX_BYTES. The journal's files take more of the disk:
            they do not shrink when messages have moved.
        set_aside: how many Redis refused by themselves.
        corrupt: when corrupt journals were renamed that are still there, as their names say it.
    """

    messages: int = 0
    oldest: datetime | None = None
    bytes: int = 0
    set_aside: int = 0
    corrupt: tuple[str, ...] = ()


@dataclass(frozen=True)
class Held:
    """A message in the journal; `reason` and `since` (RFC 3339) only of one that is set aside."""

    state: State
    message: Message
    reason: str = ""
    since: str = ""


def waiting(folder: Path, *, in_service: bool) -> Waiting:
    """Looks into SPOOL_DIR, in a native thread.

    Args:
        folder: SPOOL_DIR.
        in_service: whether this process may have the journal open, to write to it.

    Raises:
        OSError, sqlite3.Error: the journal cannot be read, or not in a second.
    """
    return _natively(lambda: _look(folder, in_service))


def place(folder: Path) -> tuple[Path, bool]:
    """SPOOL_DIR, or the folder in which it would be made; and whether this user can write to it.

    Raises:
        TimeoutError: the disk does not answer in a second.
    """

    def find() -> tuple[Path, bool]:
        # Not by Path.exists, which raises where this user may not look.
        places = (folder, *folder.absolute().parents)
        there = next(path for path in places if os.access(path, os.F_OK))
        return there, there.is_dir() and os.access(there, os.W_OK | os.X_OK)

    return _natively(find)


def owner_of(path: Path) -> str:
    """Whose a file or folder is: a name, or a number where the system knows no name.

    Raises:
        OSError: the disk does not say, or not in a second (TimeoutError).
    """
    number = _natively(lambda: path.stat().st_uid)
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"the user {number}"


def objections(folder: Path) -> tuple[list[str], str | None]:
    """Which files of the spool are not used because others may have put them there, and what others may do to all.

    Raises:
        OSError: the disk does not say, or not in a second (TimeoutError).
    """

    def find() -> tuple[list[str], str | None]:
        if not folder.is_dir():
            return [], None
        files = [folder / name for name in (JOURNAL, f"{JOURNAL}-wal", f"{JOURNAL}-shm", LEAD)]
        found = [f"{path} {why}" for path in files if (why := safe_files.unsafe_reason(path))]
        return found, safe_files.unsafe_folder_reason(folder)

    return _natively(find)


def sync_time_s(folder: Path, timeout_s: float) -> float:
    """How long a page takes to be written and synced, in a file without a name, in SPOOL_DIR.

    Raises:
        OSError: it cannot be written, or not in time (TimeoutError).
    """

    def write() -> float:
        began = time.monotonic()
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b" " * PAGE_BYTES)
            file.flush()
            os.fsync(file.fileno())
        return time.monotonic() - began

    return _thread.run(write, timeout_s)


def held(folder: Path, state: State | None = None) -> Iterator[Held]:
    """The messages in the journal in their order, those that are set aside first; blocks for the disk.

    Args:
        folder: SPOOL_DIR.
        state: only those.

    Raises:
        OSError, sqlite3.Error: the journal cannot be read.
    """
    with _reading(folder, in_service=False) as journal:
        if journal is None:
            return
        if state != "waiting" and _has_set_aside(journal):
            for message_id, text, reason, since in journal.execute(SET_ASIDE):
                yield Held("set-aside", _message(message_id, text, since), reason, since)
        if state != "set-aside":
            for message_id, text in journal.execute(WAITING):
                yield Held("waiting", _message(message_id, text))


def _natively(look: Callable[[], Result]) -> Result:
    return _thread.run(look, LOOK_S)


def _look(folder: Path, in_service: bool) -> Waiting:
    stamps = {path.name.rpartition(".corrupt-")[2] for path in folder.glob("*.corrupt-*")}
    corrupt = tuple(sorted(stamps))
    with _reading(folder, in_service=in_service) as journal:
        if journal is None:
            return Waiting(corrupt=corrupt)
        first = journal.execute(f"{WAITING} LIMIT 1").fetchone()
        pages, free, size = (
            _number(journal, f"PRAGMA {name}")
            for name in ("page_count", "freelist_count", "page_size")
        )
        return Waiting(
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
        address = f"{path.absolute().as_uri()}?mode=ro{_how(path, in_service)}"
        journal = sqlite3.connect(address, uri=True, timeout=BUSY_TIMEOUT_S)
        with ExitStack() as opened:
            opened.callback(journal.close)
            # Only now SQLite opens log and shared memory.
            _number(journal, "SELECT count(*) FROM sqlite_master")
            opening = opened.pop_all()
    with opening:
        yield journal


def _how(path: Path, in_service: bool) -> str:
    log = Path(f"{path}-wal")
    if not log.exists() or not log.stat().st_size:
        # The journal is whole by itself.
        return "&immutable=1"
    # SQLite shares this memory between the connections of a process: the service's would become
    # read-only as well.
    return "" if in_service else "&readonly_shm=1"


def _has_set_aside(journal: sqlite3.Connection) -> bool:
    """Whether the service has opened this journal since the version that sets aside."""
    found = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'set_aside'"
    return bool(_number(journal, found))


def _number(journal: sqlite3.Connection, question: str) -> int:
    return int(journal.execute(question).fetchone()[0])


def _message(message_id: str, text: bytes, since: str = "") -> Message:
    """A message; of a row that cannot be read, one whose `data` is all that the row has."""
    try:
        return message_of(text)
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
        # The drainer will set it aside.
        return None
