"""How messages of the spool look: as JSON, in a table, whole."""

import json
from collections.abc import Sequence
from typing import Any

import click

from listener.cli.render import tables
from listener.cli.render.tables import Screen
from listener.inspection.entry_text import SHORT_ID_CHARS, data_of
from listener.spool.status import Held
from listener.text import clean, truncate

# Of what Redis said, in a table.
SHORT = 60


def _fields(one: Held) -> dict[str, str]:
    fields = one.message.fields()
    return {
        # A row that cannot be read has whatever is on the disk.
        name: value.decode(errors="backslashreplace") if isinstance(value, bytes) else value
        for name, value in fields.items()
    }


def _why(one: Held) -> dict[str, str]:
    return {"state": one.state, "reason": one.reason, "since": one.since}


def summary(one: Held) -> dict[str, Any]:
    """One line of --json: without the data."""
    message = one.message
    return {
        **_why(one),
        **{name: _fields(one).get(name) for name in ("id", "time", "kind", "account", "subject")},
        "bytes": len(message.data),
    }


def whole(one: Held) -> dict[str, Any]:
    """All of a message, as a line of JSON: the fields of its entry, and why it was set aside."""
    fields = _fields(one)
    return {**_why(one), **fields, "data": data_of(fields)}


def text(one: Held) -> str:
    """All of a message, to read."""
    fields = _fields(one)
    facts = {**_why(one), **{name: fact for name, fact in fields.items() if name != "data"}}
    shown = [f"{name:<15}  {clean(fact)}" for name, fact in facts.items() if fact]
    data = json.dumps(data_of(fields), indent=2, ensure_ascii=False)
    return "\n".join([*shown, "", "data:", *(f"  {clean(x)}" for x in data.splitlines())])


def show(found: Sequence[Held]) -> None:
    """Prints a table."""
    if not found:
        click.echo("Nothing is in the spool of this host.")
        return
    made = tables.table(
        "id", "state", "arrived", "kind", "account", "upgrade", "bytes", "reason",
        right=("bytes",), whole=("id",),
    )  # fmt: skip
    for one in found:
        message = one.message
        tables.row(
            made,
            message.id,
            one.state,
            message.time[:19].replace("T", " "),
            message.kind,
            message.account or "-",
            (message.subject or "-")[:SHORT_ID_CHARS],
            len(message.data),
            truncate(one.reason, SHORT) or "-",
        )
    Screen().print(made)
