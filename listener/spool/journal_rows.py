"""What a row of the journal holds: a message that waits, or one that is set aside. Pure but for `insert` and `copy_rows`."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime

from listener.messages.message import Message
from listener.times import timestamp

FIELDS = frozenset(field.name for field in fields(Message))
# What `message_of` raises for a row that is no message.
UNREADABLE = (ValueError, TypeError, LookupError, AttributeError)
# How the reason of a row begins that is set aside because it cannot be read.
DAMAGED = "unreadable: "
PUT_ASIDE = "INSERT INTO set_aside (id, message, reason, since) VALUES (?, ?, ?, ?)"
TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"
# As bytes: what is no UTF-8 is copied as well.
COPIED = {
    "message": (
        "SELECT id, CAST(message AS BLOB) FROM message ORDER BY place",
        "INSERT OR IGNORE INTO message (id, message) VALUES (?, CAST(? AS TEXT))",
    ),
    "set_aside": (
        "SELECT id, CAST(message AS BLOB), reason, since FROM set_aside ORDER BY place",
        "INSERT OR IGNORE INTO set_aside (id, message, reason, since) VALUES (?, CAST(? AS TEXT), ?, ?)",
    ),
}


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


def insert(journal: sqlite3.Connection, items: Sequence[Message | SetAside]) -> list[bool]:
    """For each, whether it was there already.

    A row that is set aside because it cannot be read does not count as there: it gives way to the
    message, which has come whole again.

    In few statements: at each, the thread that serves requests may keep the interpreter for 5 ms.
    """
    ids = [item.message.id if isinstance(item, SetAside) else item.id for item in items]
    marks = ", ".join("?" * len(ids))
    known = (
        f"SELECT id, 0 FROM message WHERE id IN ({marks}) "  # noqa: S608 (only marks and a constant)
        f"UNION ALL SELECT id, reason LIKE '{DAMAGED}%' FROM set_aside WHERE id IN ({marks})"
    )
    rows = journal.execute(known, ids * 2).fetchall()
    there = {each for each, is_damaged in rows if not is_damaged}
    damaged = [(each,) for each, is_damaged in rows if is_damaged]
    if damaged:
        journal.executemany("DELETE FROM set_aside WHERE id = ?", damaged)
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
        places = ", ".join(["(?, ?)"] * (len(waiting) // 2))
        journal.execute(f"INSERT INTO message (id, message) VALUES {places}", waiting)  # noqa: S608 (as above)
    return found


def copy_rows(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Copies all rows, in their order, and syncs them."""
    # One of an earlier version has no messages that are set aside.
    tables = {row[0] for row in source.execute(TABLES)}
    [synced] = target.execute("PRAGMA synchronous").fetchone()
    target.execute("PRAGMA synchronous = FULL")
    with target:
        target.execute("BEGIN IMMEDIATE")
        for select, insert in (COPIED[name] for name in COPIED if name in tables):
            target.executemany(insert, source.execute(select))
    target.execute(f"PRAGMA synchronous = {synced}")


def _text(message: Message) -> str:
    return json.dumps({**asdict(message), "data": message.data.decode()}, ensure_ascii=False)


def place_of(spooled: Spooled) -> dict[str, object]:
    # The id as well: a journal begun anew in the meantime has the same places for others.
    return {"place": spooled.place, "id": spooled.message.id}
