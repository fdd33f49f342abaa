"""What waits in this host's spool, seen from outside: the journal is opened for reading only."""

import json
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from listener.queue.spool import JOURNAL


@dataclass(frozen=True)
class Waiting:
    """How many messages wait, since when the first of them does, and what the journal takes of the disk."""

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
    finally:
        connection.close()
    return Waiting(count, _time(first[0]) if first else None, _bytes(folder))


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(json.loads(text)["time"]).astimezone(UTC)
    except (TypeError, ValueError, KeyError):
        # Another version wrote it in another form.
        return None


def _bytes(folder: Path) -> int:
    parts = (path for path in folder.glob(f"{JOURNAL}*") if ".corrupt-" not in path.name)
    return sum(path.stat().st_size for path in parts)
