"""Formats dead letters: as JSON, as tables, and whole for people."""

import json
from collections.abc import Sequence
from typing import Any

from listener.cli.dead_letters.letter_groups import LetterGroup
from listener.cli.render.tables import Table
from listener.inspection.dead_letters import DeadLetter
from listener.inspection.entry_text import SHORT_ID_CHARS, data_of
from listener.text import clean, truncate
from listener.times import format_time_text

MAX_ERROR_LENGTH = 60
"""In a table."""


def summary(letter: DeadLetter) -> dict[str, Any]:
    """A line of `list --json`: neither the message's data nor the traceback."""
    message = letter.message
    return {
        **_data(letter),
        **{name: message.get(name) for name in ("kind", "account", "subject", "id")},
    }


def whole(letter: DeadLetter) -> dict[str, Any]:
    """The line of `show --json`."""
    message = letter.message
    return {
        **_data(letter),
        "traceback": letter.field("traceback"),
        "message": {**message, "data": data_of(message)},
    }


def group_data(group: LetterGroup) -> dict[str, Any]:
    """A line of `list --by … --json`."""
    return {
        "letters": group.letters,
        "group": group.group,
        "reason": group.reason,
        "error": group.error,
        "kinds": sorted(group.kinds),
        "first_failed": group.first_failed,
        "last_failed": group.last_failed,
        "newest": group.newest,
    }


def print_table(letters: Sequence[DeadLetter]) -> None:
    """Prints a row for each letter."""
    table = Table(
        ("id", "failed", "group", "kind", "account", "upgrade", "reason", "error", "deliveries"),
        right_aligned=("deliveries",), prose=("error",),
        once=("group", "kind", "account", "upgrade", "reason", "error", "deliveries"),
    )  # fmt: skip
    for letter in letters:
        message = letter.message
        table.add_row(
            letter.entry_id,
            format_time_text(letter.field("failed")),
            letter.group,
            message.get("kind", "-"),
            message.get("account", "-"),
            message.get("subject", "-")[:SHORT_ID_CHARS],
            letter.field("reason"),
            truncate(letter.field("error"), MAX_ERROR_LENGTH),
            letter.field("deliveries"),
        )
    table.print()


def print_groups(groups: Sequence[LetterGroup]) -> None:
    """Prints a row for each group of letters."""
    table = Table(
        ("newest", "letters", "last failed", "group", "reason", "kind", "error"),
        right_aligned=("letters",), prose=("kind", "error"), once=("group", "reason", "kind"),
    )  # fmt: skip
    for group in groups:
        table.add_row(
            group.newest,
            group.letters,
            format_time_text(group.last_failed),
            group.group,
            group.reason,
            ", ".join(sorted(group.kinds)),
            truncate(group.error, MAX_ERROR_LENGTH),
        )
    table.print()


def text(letter: DeadLetter) -> str:
    """The whole letter, for people."""
    message = letter.message
    facts = {
        "dead letter": letter.entry_id,
        "group": letter.group,
        "stream": letter.partition.messages,
        **{
            name: letter.field(name)
            for name in ("reason", "error", "deliveries", "consumer", "failed", "entry")
        },
        **{name: value for name, value in message.items() if name != "data"},
    }
    width = max(map(len, facts))
    lines = [f"{clean(name):<{width}}  {clean(value)}" for name, value in facts.items()]
    data = json.dumps(data_of(message), indent=2, ensure_ascii=False)
    for title, block in (("data", data), ("traceback", letter.field("traceback"))):
        lines += ["", f"{title}:", *(f"  {clean(line)}" for line in block.splitlines())]
    return "\n".join(lines)


def _data(letter: DeadLetter) -> dict[str, Any]:
    deliveries = letter.field("deliveries")
    return {
        "dead": letter.entry_id,
        "group": letter.group,
        "partition": letter.partition.number,
        **{name: letter.field(name) for name in ("reason", "error", "consumer", "failed")},
        "deliveries": int(deliveries) if deliveries.isdecimal() else None,
        "entry": letter.field("entry"),
    }
