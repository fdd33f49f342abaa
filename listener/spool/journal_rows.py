"""The rows of the journal: messages that wait, and messages that are set aside; decides what is there already."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from listener.messages.message import Message
from listener.times import timestamp

FIELDS = frozenset(Message._fields)
# What `message_of` raises for a row that is damaged.
UNREADABLE = (ValueError, TypeError, LookupError, AttributeError)
# The beginning of the reason of a row that is set aside because it cannot be read.
DAMAGED = "unreadable: "
PUT_ASIDE = "INSERT INTO set_aside (id, message, reason, since) VALUES (?, ?, ?, ?)"
TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"
# As bytes: text that is not UTF-8 would fail the whole statement.
WAITING = "SELECT id, CAST(message AS BLOB) FROM message WHERE id IN ({marks})"
SET_ASIDE = "SELECT id, reason FROM set_aside WHERE id IN ({marks})"
# As bytes for the same reason.
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


def message_of(message_id: str, text: str | bytes) -> Message:
    """The message of a row, without members that a later version added.

    Raises:
        UNREADABLE: the row is damaged.
    """
    content = {name: value for name, value in json.loads(text).items() if name in FIELDS}
    if content["id"] != message_id:
        raise ValueError("the message has another id than its row")
    return Message(**{**content, "data": content["data"].encode()})


def is_readable(message_id: str, text: str | bytes) -> bool:
    """Whether a row has a message, and so is not damaged."""
    try:
        message_of(message_id, text)
    except UNREADABLE:
        return False
    return True


def now() -> str:
    """RFC 3339, UTC."""
    return timestamp(datetime.now(UTC))


def insert_rows(journal: sqlite3.Connection, items: Sequence[Message | SetAside]) -> list[bool]:
    """Inserts the messages that are not there yet; returns for each whether it was there already.

    A row that cannot be read, waiting or set aside, does not count: it is replaced by the message, which
    has come whole again.

    Takes few statements: at each, the thread that serves requests may keep the interpreter for 5 ms.
    """
    there = _existing(journal, [_id(item) for item in items])
    waiting: list[str] = []
    results = []
    for item in items:
        message_id = _id(item)
        results.append(message_id in there)
        if message_id in there:
            continue
        there.add(message_id)
        if isinstance(item, SetAside):
            row = (message_id, _text(item.message), item.reason, item.since)
            journal.execute(PUT_ASIDE, row)
        else:
            waiting += (message_id, _text(item))
    if waiting:
        places = ", ".join(["(?, ?)"] * (len(waiting) // 2))
        journal.execute(f"INSERT INTO message (id, message) VALUES {places}", waiting)  # noqa: S608 (only marks)
    return results


def _existing(journal: sqlite3.Connection, ids: Sequence[str]) -> set[str]:
    """Those of the ids whose rows can be read; deletes their rows that cannot."""
    marks = ", ".join("?" * len(ids))
    waiting = journal.execute(WAITING.format(marks=marks), ids).fetchall()
    set_aside = journal.execute(SET_ASIDE.format(marks=marks), ids).fetchall()
    damaged = {
        "message": [(each,) for each, text in waiting if not is_readable(each, text)],
        "set_aside": [(each,) for each, reason in set_aside if reason.startswith(DAMAGED)],
    }
    for table, rows in damaged.items():
        if rows:
            journal.executemany(f"DELETE FROM {table} WHERE id = ?", rows)  # noqa: S608 (one of two names)
    deleted = {row[0] for rows in damaged.values() for row in rows}
    return {each for each, _ in (*waiting, *set_aside)} - deleted


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


def _id(item: Message | SetAside) -> str:
    return item.message.id if isinstance(item, SetAside) else item.id


def _text(message: Message) -> str:
    return json.dumps({**message._asdict(), "data": message.data.decode()}, ensure_ascii=False)


def place_of(spooled: Spooled) -> dict[str, object]:
    # The id as well: a journal begun anew in the meantime has the same places for others.
    return {"place": spooled.place, "id": spooled.message.id}
