"""What waits on this host's disk, and could more wait there? Opens the journal for reading only."""

import os
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from listener.doctor.findings import Finding, error, ok, warning
from listener.lines import counted
from listener.moments import duration
from listener.queue.waiting import set_aside, waiting
from listener.settings import Settings

TOPIC = "spool"
# The drainer looks four times a second; what waits longer waits for a reason.
SOON_S = 60
# As with Redis's memory.
FULL = 0.8


def findings(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Says what it finds; never raises for a disk that fails."""
    folder = settings.spool_dir
    if folder is None:
        yield warning(
            TOPIC,
            "there is none: what Redis does not confirm is answered 503, and is lost",
            "set SPOOL_DIR to a folder on a disk that outlives the process",
        )
        return
    yield _writable(folder)
    try:
        yield from _waiting(settings, folder, now)
        yield from _corrupt(folder)
    except (OSError, sqlite3.Error) as problem:
        yield error(TOPIC, f"the journal cannot be read: {problem}", "check the disk and the mode")


def meanwhile(settings: Settings) -> str:
    """What becomes of messages that Redis does not confirm."""
    if settings.spool_dir is None:
        return "there is no spool, so messages are answered 503 meanwhile"
    return "messages go to the spool meanwhile"


def _writable(folder: Path) -> Finding:
    # Not by Path.exists, which raises where this user may not look.
    places = (folder, *folder.absolute().parents)
    there = next(path for path in places if os.access(path, os.F_OK))
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return ok(TOPIC, f"{folder} can be written" if there == folder else f"{folder} can be made")
    return error(
        TOPIC,
        f"{there} cannot be written by this user",
        "let the service's user write to SPOOL_DIR, or choose another",
    )


def _waiting(settings: Settings, folder: Path, now: datetime) -> Iterator[Finding]:
    held = waiting(folder)
    depth, oldest = held.messages, held.oldest
    share = held.bytes / settings.spool_max_bytes
    if depth and share > FULL:
        yield warning(
            TOPIC,
            f"uses {share:.0%} of SPOOL_MAX_BYTES: full, messages are answered 503",
            "see why Redis does not confirm, or raise SPOOL_MAX_BYTES",
        )
    if not depth:
        yield ok(TOPIC, "nothing waits on this host")
        return
    age_s = max((now - oldest).total_seconds(), 0) if oldest else 0.0
    text = f"{counted(depth, 'message')} waiting on this host, the oldest for {duration(age_s)}"
    if age_s > SOON_S:
        yield warning(TOPIC, text, "see why Redis does not confirm, and whether the service runs")
    else:
        yield ok(TOPIC, text)


def _corrupt(folder: Path) -> Iterator[Finding]:
    stamps = set_aside(folder)
    if stamps:
        yield warning(
            TOPIC,
            f"{counted(len(stamps), 'corrupt journal')} set aside ({', '.join(stamps)}): there may be "
            "messages in them",
            f"recover them with the sqlite3 shell (.recover) from {folder}, then move them away",
        )
