"""What waits in this host's spool, seen from outside: the journal is opened for reading only."""

import json
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from listener.queue.spool import JOURNAL


@dataclass(frozen=True)
class Waiting:
    """How many messages wait, since when the first of them does, and what they take of SPOOL_MAX_BYTES.

    The journal's files take more of the disk: they do not shrink when messages have moved.
    """

    messages: int
    oldest: datetime | None
    bytes: int


def waiting(folder: Path) -> Waiting:
    """Looks into SPOOL_DIR.

    Raises:
        OSError, sqlite3.Error: the journal cannot be read.
    """
    journal = folder / JOURNAL
    if not journal.exists():
        return Waiting(0, None, 0)
    connection = sqlite3.connect(f"{journal.absolute().as_uri()}?mode=ro", uri=True, timeout=2)
    try:
        count = int(connection.execute("SELECT count(*) FROM message").fetchone()[0])
        first = connection.execute("SELECT message FROM message ORDER BY place LIMIT 1").fetchone()
        pages, free, size = (
            int(connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
    finally:
        connection.close()
    return Waiting(count, _time(first[0]) if first else None, (pages - free) * size)


def set_aside(folder: Path) -> list[str]:
    """When corrupt journals were set aside that are still in SPOOL_DIR, as their names say it."""
    return sorted({path.name.rpartition(".corrupt-")[2] for path in folder.glob("*.corrupt-*")})


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(json.loads(text)["time"]).astimezone(UTC)
    except (TypeError, ValueError, KeyError):
        # Another version wrote it in another form.
        return None
