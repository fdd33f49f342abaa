"""Formats quarantined messages: as JSON, as tables, and whole for people."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from listener.cli.render.tables import Table
from listener.inspection.quarantined_messages import QuarantinedMessage
from listener.text import clean, truncate
from listener.times import format_time_text

BEGINNING_LENGTH = 70
MAX_REASON_LENGTH = 60


def data(message: QuarantinedMessage) -> dict[str, Any]:
    """What is known of it besides its text."""
    return {
        "entry": message.entry_id,
        "time": message.time,
        "reason": message.reason,
        "bytes": message.bytes,
    }


def summary(message: QuarantinedMessage) -> dict[str, Any]:
    """A line of `list --json`."""
    return {**data(message), "begins": message.data[:BEGINNING_LENGTH]}


def whole(message: QuarantinedMessage) -> dict[str, Any]:
    """The line of `show --json`."""
    return {**data(message), "data": message.data}


def count_by_reason(messages: Iterable[QuarantinedMessage]) -> list[tuple[str, int]]:
    """How many messages each reason has, the most frequent first."""
    return Counter(
        truncate(message.reason, MAX_REASON_LENGTH) for message in messages
    ).most_common()


def reason_data(count: tuple[str, int]) -> dict[str, Any]:
    """A line of `list --by reason --json`."""
    return {"reason": count[0], "messages": count[1]}


def print_reasons(counts: Sequence[tuple[str, int]]) -> None:
    """Prints a row for each reason."""
    table = Table(("reason", "messages"), right_aligned=("messages",))
    for row in counts:
        table.add_row(*row)
    table.print()


def print_table(messages: Sequence[QuarantinedMessage]) -> None:
    """Prints a row for each message."""
    table = Table(
        ("id", "arrived", "reason", "bytes", "begins"),
        right_aligned=("bytes",), prose=("begins",), once=("reason",),
    )  # fmt: skip
    for message in messages:
        arrived = format_time_text(message.time)
        begins = truncate(message.data, BEGINNING_LENGTH)
        table.add_row(message.entry_id, arrived, message.reason, message.bytes, begins)
    table.print()


def text(message: QuarantinedMessage) -> str:
    """The whole message, for people."""
    try:
        body = json.dumps(json.loads(message.data), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        body = message.data
    facts = {"entry": message.entry_id, "arrived": message.time, "reason": message.reason}
    lines = [f"{name:<8} {clean(value)}" for name, value in facts.items()]
    return "\n".join([*lines, "", *(clean(line) for line in body.splitlines())])
