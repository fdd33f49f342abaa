"""The files of a journal: whether they still lie where they were opened, how large they are, and how to save
what is in those that were removed.

Something that cleans up folders (systemd-tmpfiles, tmpreaper, a backup, a hand) may remove a file that a
process has open. SQLite goes on writing to it, and with the last process all of it is gone. Blocks for the disk.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

# What the write-ahead log may take besides the database. As a rule it has 4 MiB and one group.
LOG_BYTES = 32 * 2**20

# As bytes: what is no UTF-8 is copied as well.
COPIED = {
    "SELECT id, CAST(message AS BLOB) FROM message ORDER BY place": (
        "INSERT OR IGNORE INTO message (id, message) VALUES (?, CAST(? AS TEXT))"
    ),
    "SELECT id, CAST(message AS BLOB), reason, since FROM set_aside ORDER BY place": (
        "INSERT OR IGNORE INTO set_aside (id, message, reason, since) VALUES (?, CAST(? AS TEXT), ?, ?)"
    ),
}


class JournalFiles:
    """The files of one journal, as a connection has opened them.

    Args:
        path: of the database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: tuple[int, ...] = (0, 0, 0)

    def opened(self) -> None:
        """What lies there now is what the connection has open. Call it after a first write."""
        self._opened = self._inodes()

    def is_in_place(self) -> bool:
        """Whether the files that the connection has open still lie there, all of them."""
        return self._opened == self._inodes()

    @property
    def bytes(self) -> int:
        """What database and log take together."""
        return sum(part.stat().st_size for part in _parts(self._path)[:2] if part.exists())

    def save(
        self, journal: sqlite3.Connection, connect: Callable[[Path], sqlite3.Connection]
    ) -> bool:
        """Copies the rows of a connection whose files were removed to the journal at the path.

        Each of the processes that have the files open calls this, one after the other. The first makes a
        new database, even if only a part of the old one was removed: SQLite's locks lie in these files,
        so that those who have the old ones and those who have new ones would not keep clear of each
        other. A database that lies in the folder under another name was renamed on purpose, and is left
        alone.

        Args:
            journal: the connection; to be closed afterwards.
            connect: opens a journal, or makes it.

        Returns:
            Whether that was done, and not left.

        Raises:
            sqlite3.Error, OSError: not everything was saved; call it again.
        """
        if self._was_renamed():
            return False
        if inode(self._path) not in (0, self._opened[0]):
            _copy(journal, connect(self._path))
            return True
        fresh = Path(f"{self._path}.new")
        for part in _parts(fresh):
            part.unlink(missing_ok=True)
        # A database that is closed is one file.
        _copy(journal, connect(fresh))
        for part in _parts(self._path)[1:]:
            part.unlink(missing_ok=True)
        fresh.rename(self._path)
        _sync(self._path.parent)
        return True

    def close(self, journal: sqlite3.Connection) -> None:
        """Closes a connection whose files were removed.

        SQLite has the last connection delete log and shared memory, by their names: these may be
        other files by now, and in use.
        """
        moved = [(part, Path(f"{part}.kept")) for part in _parts(self._path)[1:] if part.exists()]
        for part, kept in moved:
            part.rename(kept)
        try:
            journal.close()
        finally:
            for part, kept in moved:
                kept.rename(part)

    def _was_renamed(self) -> bool:
        siblings = self._path.parent.glob(f"{self._path.name}.corrupt-*")
        return any(inode(sibling) == self._opened[0] for sibling in siblings)

    def _inodes(self) -> tuple[int, ...]:
        return tuple(map(inode, _parts(self._path)))


def inode(path: Path) -> int:
    """The number of a file; 0 if there is none."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


def _parts(path: Path) -> tuple[Path, Path, Path]:
    """A database, its write-ahead log, and the memory that processes share for it."""
    return path, Path(f"{path}-wal"), Path(f"{path}-shm")


def _copy(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Copies all rows, in their order, and closes the target."""
    with closing(target):
        target.execute("PRAGMA synchronous = FULL")
        target.execute("BEGIN IMMEDIATE")
        for select, insert in COPIED.items():
            target.executemany(insert, source.execute(select))
        target.execute("COMMIT")


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
