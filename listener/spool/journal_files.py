"""The files of a journal: which ones belong together, whether they still lie where they were opened, and their lock.

Something that cleans up folders (systemd-tmpfiles, tmpreaper, a backup, a hand) may remove a file that a
process has open. SQLite goes on writing to it, and with the last process all of it is gone. Blocks for the disk.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from listener.runtime.safe_files import open_safely, replace_safely

# Which files the processes that have the journal open share; beside the database.
RECORD = "spool.files"
MAX_RECORD_BYTES = 1000

# Device and inode; None: there is no such file.
Identity = tuple[int, int] | None
# Of a database, its write-ahead log, and the memory that processes share for it.
Files = tuple[Identity, Identity, Identity]


class JournalFiles:
    """The files of one journal, as a connection has opened them.

    SQLite finds log and shared memory by the name of the database alone. Two processes that have different
    databases under one name, or one database with different logs, overwrite each other's messages. So the
    first process that opens a database records its files in `spool.files`, and another one joins only if
    exactly these lie there.

    Args:
        path: of the database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._record = path.with_name(RECORD)
        self._opened: Files = (None, None, None)
        self._lock = -1

    @property
    def present(self) -> Files:
        """What lies at the path."""
        database, log, shared = map(identity, parts(self._path))
        return database, log, shared

    @property
    def bytes(self) -> int:
        """What database and log take together."""
        return sum(part.stat().st_size for part in parts(self._path)[:2] if part.exists())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """As the function `locked`."""
        with locked(self._path.parent) as self._lock:
            yield

    def is_locked(self) -> bool:
        """Whether the folder that was locked is still the one at the path: others lock that."""
        return lies_at(self._lock, self._path.parent)

    def is_in_place(self) -> bool:
        """Whether the files that the connection has open still lie there, all of them."""
        return self._opened == self.present

    def has_own_database(self) -> bool:
        """Whether the database at the path is that of the connection, or there is none."""
        return identity(self._path) in (None, self._opened[0])

    def is_recorded(self) -> bool:
        """Whether what lies there are the files that the first process opened, all of them."""
        present = self.present
        return present[0] is not None and self._recorded() == present

    def has_log_of_another(self) -> bool:
        """Whether the log belongs to another database, which was at the path before."""
        (database, log, _), recorded = self.present, self._recorded()
        return recorded is not None and log == recorded[1] and database != recorded[0]

    def opened(self, files: Files) -> None:
        """Notes what the connection has open, and records it."""
        self._opened = files
        if not self.is_recorded():
            # Without a record, a worker that starts makes a new database: more work, and no loss.
            with suppress(OSError):
                replace_safely(self._record, json.dumps(files).encode())

    def clear(self) -> None:
        """Takes log and shared memory off the path, so that the next database there gets its own.

        Processes that have them open go on with them. A log is kept under another name unless the connection has
        it open: it may be all that is left of a database.
        """
        _, log, shared = parts(self._path)
        shared.unlink(missing_ok=True)
        if identity(log) == self._opened[1] or (log.exists() and not log.stat().st_size):
            log.unlink(missing_ok=True)
        elif log.exists():
            log.rename(f"{log}.corrupt-{_stamp()}")

    def saved(self) -> None:
        """Deletes the log of the connection where another process kept it; call it once its rows are saved."""
        log = parts(self._path)[1]
        for kept in log.parent.glob(f"{log.name}.corrupt-*"):
            if identity(kept) == self._opened[1]:
                kept.unlink(missing_ok=True)

    def rename_corrupt(self) -> str:
        """Renames a corrupt journal; returns what its names end in."""
        stamp = _stamp()
        for part in self._path.parent.glob(f"{self._path.name}*"):
            if ".corrupt-" not in part.name:
                part.rename(f"{part}.corrupt-{stamp}")
        return stamp

    def was_renamed(self) -> bool:
        """Whether a process found the database corrupt, and renamed it."""
        siblings = self._path.parent.glob(f"{self._path.name}.corrupt-*")
        return any(identity(sibling) == self._opened[0] for sibling in siblings)

    def _recorded(self) -> Files | None:
        try:
            with os.fdopen(open_safely(self._record, os.O_RDONLY), "rb") as file:
                database, log, shared = json.loads(file.read(MAX_RECORD_BYTES))
            return _identity(database), _identity(log), _identity(shared)
        except (OSError, ValueError, TypeError):
            return None


def identity(path: Path) -> Identity:
    """Which file lies at a path."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def lies_at(file: int, path: Path) -> bool:
    """Whether an open file or folder is the one that lies at a path."""
    found = os.fstat(file)
    return (found.st_dev, found.st_ino) == identity(path)


def parts(path: Path) -> tuple[Path, Path, Path]:
    """A database, its write-ahead log, and the memory that processes share for it."""
    return path, Path(f"{path}-wal"), Path(f"{path}-shm")


@contextmanager
def locked(folder: Path, kind: int = fcntl.LOCK_EX) -> Iterator[int]:
    """No other process opens, renames or replaces the journal in a folder meanwhile; yields its descriptor. Raises OSError.

    The folder itself is locked: a file for it could be removed as well.
    """
    while True:
        opened = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(opened, kind)
            # The folder may have been removed while this process waited, and made again.
            if lies_at(opened, folder):
                yield opened
                return
        finally:
            os.close(opened)


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")


def _identity(found: list[int] | None) -> Identity:
    if found is None:
        return None
    device, number = map(int, found)
    return device, number
