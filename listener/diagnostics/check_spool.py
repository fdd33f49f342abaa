"""Checks the spool on this host's disk: whether it can be written, and what waits in it. Makes and changes no file."""

import os
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from listener.diagnostics.finding import Finding, error, ok, warning
from listener.queue.queue import SPOOL_ALONE_S
from listener.settings.settings import Settings
from listener.spool.contents import SpoolStatus, read_status
from listener.spool.folder_checks import existing_folder, owner_of, sync_time_s, unsafe_reasons
from listener.text import counted
from listener.times import format_duration

TOPIC = "spool"
# The drainer runs four times a second; a message that waits longer waits for a reason.
MAX_WAIT_S = 60
# As with Redis's memory.
MAX_SHARE = 0.8
# A healthy disk syncs in milliseconds; slower syncs than this delay answers.
SLOW_SYNC_S = 0.2
SYNC_TIMEOUT_S = 5.0
LOST = "while Redis is away, messages are answered 503"
CHECK_DISK = "check the disk, and what else writes to it"


def findings(settings: Settings, now: datetime, *, in_service: bool) -> Iterator[Finding]:
    """The state of the spool; never raises for a disk that fails.

    Args:
        settings: where the spool is.
        now: the time of day, with a time zone.
        in_service: whether this process may have the journal open; then the disk is not measured.
    """
    folder = settings.spool.folder
    if folder is None:
        yield warning(
            TOPIC,
            "there is none: what Redis does not confirm is answered 503, and is lost",
            "set SPOOL_DIR to a folder on a disk that outlives the process",
        )
        return
    try:
        yield _writable(folder, measure=not in_service)
        yield from _owner(folder)
        yield from _private(folder)
        status = read_status(folder, in_service=in_service)
    except TimeoutError as problem:
        yield error(TOPIC, f"{folder}: {problem}", CHECK_DISK)
        return
    except (OSError, sqlite3.Error) as problem:
        yield error(TOPIC, f"the journal cannot be read: {problem}", "check the disk and the mode")
        return
    yield from _waiting(settings, status, now)
    yield from _set_aside(status)
    yield from _corrupt(folder, status)


def meanwhile(settings: Settings) -> str:
    """Where messages go that Redis does not confirm."""
    if settings.spool.folder is None:
        return "there is no spool, so messages are answered 503 meanwhile"
    return "messages go to the spool meanwhile"


def _writable(folder: Path, *, measure: bool) -> Finding:
    """Raises TimeoutError: the disk does not answer."""
    existing, can_write = existing_folder(folder)
    if not can_write:
        return error(
            TOPIC,
            f"{existing} cannot be written by this user",
            "let the service's user write to SPOOL_DIR, or choose another",
        )
    if existing != folder:
        return ok(TOPIC, f"{folder} can be made")
    return _sync_time(folder) if measure else ok(TOPIC, f"{folder} can be written")


def _sync_time(folder: Path) -> Finding:
    """How fast the disk is, compared with the time that `queue.queue` gives the spool for a message."""
    try:
        took_s = sync_time_s(folder, SYNC_TIMEOUT_S)
    except TimeoutError:
        return error(
            TOPIC, f"a sync of {folder} took more than {SYNC_TIMEOUT_S:.0f} s; {LOST}", CHECK_DISK
        )
    except OSError as problem:
        return error(TOPIC, f"{folder} cannot be written: {problem}; {LOST}", CHECK_DISK)
    text = f"{folder} can be written; a sync took {took_s:.2f} s"
    # A message may have to wait for a sync that is under way, and then for its own.
    if 2 * took_s > SPOOL_ALONE_S:
        return error(TOPIC, f"{text}: too slow for an answer in time; {LOST}", CHECK_DISK)
    if took_s > SLOW_SYNC_S:
        return warning(TOPIC, f"{text}: slow", CHECK_DISK)
    return ok(TOPIC, text)


def _owner(folder: Path) -> Iterator[Finding]:
    """The folder's owner. Root may write everywhere, so its own attempt proves nothing for the service's user."""
    if os.geteuid() == 0:
        existing, _ = existing_folder(folder)
        name = owner_of(existing)
        users = name if name == "root" else f"{name} or as root"
        yield ok(TOPIC, f"{existing} belongs to {name}: the service has to run as {users}")


def _private(folder: Path) -> Iterator[Finding]:
    """Raises OSError."""
    files, of_folder = unsafe_reasons(folder)
    for problem in files:
        yield error(
            TOPIC, f"{problem}, and is not used; {LOST}", "find out who put it there; remove it"
        )
    if of_folder:
        yield warning(
            TOPIC,
            f"{folder} {of_folder}",
            "let SPOOL_DIR belong to the service's user alone (chown, chmod 700)",
        )


def _waiting(settings: Settings, status: SpoolStatus, now: datetime) -> Iterator[Finding]:
    depth, oldest = status.messages, status.oldest
    share = status.bytes / settings.spool.max_bytes
    if (depth or status.set_aside) and share > MAX_SHARE:
        yield warning(
            TOPIC,
            f"uses {share:.0%} of SPOOL_MAX_BYTES: full, messages are answered 503",
            "see why Redis does not confirm, or raise SPOOL_MAX_BYTES",
        )
    if not depth:
        yield ok(TOPIC, "nothing waits on this host")
        return
    age_s = max((now - oldest).total_seconds(), 0) if oldest else 0.0
    text = (
        f"{counted(depth, 'message')} waiting on this host, the oldest for {format_duration(age_s)}"
    )
    if age_s > MAX_WAIT_S:
        yield warning(TOPIC, text, "see why Redis does not confirm, and whether the service runs")
    else:
        yield ok(TOPIC, text)


def _set_aside(status: SpoolStatus) -> Iterator[Finding]:
    if status.set_aside:
        yield error(
            TOPIC,
            f"{counted(status.set_aside, 'message')} set aside on this host: Redis refuses to take "
            "them, so consumers do not get them",
            "python -m listener spool list says why; then spool retry, or spool export and spool drop",
        )


def _corrupt(folder: Path, status: SpoolStatus) -> Iterator[Finding]:
    if status.corrupt:
        yield warning(
            TOPIC,
            f"{counted(len(status.corrupt), 'corrupt journal')} set aside ({', '.join(status.corrupt)}): "
            "there may be messages in them",
            f"recover them with the sqlite3 shell (.recover) from {folder}, then move them away",
        )
