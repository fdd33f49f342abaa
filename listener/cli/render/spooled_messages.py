"""Formats messages of the spool: as JSON, as a table, and whole for people."""

import json
from collections.abc import Sequence
from typing import Any

from listener.cli.render.tables import Table
from listener.inspection.entry_text import SHORT_ID_CHARS, data_of
from listener.spool.contents import JournalMessage
from listener.text import clean, truncate
from listener.times import format_time_text

MAX_REASON_LENGTH = 60
"""In a table."""


def summary(spooled: JournalMessage) -> dict[str, Any]:
    """A line of `list --json`: without the data."""
    fields = _fields(spooled)
    return {
        **_state(spooled),
        **{name: fields.get(name) for name in ("id", "time", "kind", "account", "subject")},
        "bytes": len(spooled.message.data),
    }


def whole(spooled: JournalMessage) -> dict[str, Any]:
    """The whole message as a line of JSON: the fields of its entry, and why it was set aside."""
    fields = _fields(spooled)
    return {**_state(spooled), **fields, "data": data_of(fields)}


def text(spooled: JournalMessage) -> str:
    """The whole message, for people."""
    fields = _fields(spooled)
    facts = {**_state(spooled), **{name: text for name, text in fields.items() if name != "data"}}
    lines = [f"{name:<15}  {clean(fact)}" for name, fact in facts.items() if fact]
    data = json.dumps(data_of(fields), indent=2, ensure_ascii=False)
    return "\n".join([*lines, "", "data:", *(f"  {clean(line)}" for line in data.splitlines())])


def print_table(messages: Sequence[JournalMessage]) -> None:
    """Prints a table."""
    table = Table(
        ("id", "state", "arrived", "kind", "account", "upgrade", "bytes", "reason"),
        right_aligned=("bytes",), prose=("reason",),
        once=("state", "kind", "account", "upgrade", "reason"),
    )  # fmt: skip
    for spooled in messages:
        message = spooled.message
        table.add_row(
            message.id,
            spooled.state,
            format_time_text(message.time),
            message.kind,
            message.account or "-",
            (message.subject or "-")[:SHORT_ID_CHARS],
            len(message.data),
            truncate(spooled.reason, MAX_REASON_LENGTH) or "-",
        )
    table.print()


def _fields(spooled: JournalMessage) -> dict[str, str]:
    return {
        # A row that cannot be read has arbitrary bytes.
        name: value.decode(errors="backslashreplace") if isinstance(value, bytes) else value
        for name, value in spooled.message.fields().items()
    }


def _state(spooled: JournalMessage) -> dict[str, str]:
    return {"state": spooled.state, "reason": spooled.reason, "since": spooled.since}
