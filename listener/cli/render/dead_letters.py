"""How dead letters look: as JSON, in a table, whole."""

import json
from typing import Any

import click

from listener.cli.render import tables
from listener.cli.render.tables import Screen
from listener.inspection.dead_letters import DeadLetter
from listener.inspection.entry_text import SHORT_ID_CHARS, data_of
from listener.text import clean, truncate

# Of an error, in a table.
SHORT = 60


def data(letter: DeadLetter, *, short: bool = False) -> dict[str, Any]:
    """One line of --json; the short form has neither the message's data nor the traceback."""
    message = letter.message
    told = {name: letter.told(name) for name in ("reason", "error", "consumer", "failed")}
    deliveries = letter.told("deliveries")
    common = {
        "dead": letter.entry_id,
        "group": letter.group,
        "partition": letter.where.number,
        **told,
        "deliveries": int(deliveries) if deliveries.isdecimal() else None,
        "entry": letter.told("entry"),
    }
    if short:
        named = ("kind", "account", "subject", "id")
        return {**common, **{name: message.get(name) for name in named}}
    return {
        **common,
        "traceback": letter.told("traceback"),
        "message": {**message, "data": data_of(message)},
    }


def show(found: list[DeadLetter]) -> None:
    """Prints a table."""
    if not found:
        click.echo("There are no dead letters.")
        return
    made = tables.table(
        "id", "failed", "group", "kind", "account", "upgrade", "reason", "error", "deliveries",
        right=("deliveries",), whole=("id",),
    )  # fmt: skip
    for letter in found:
        message = letter.message
        tables.row(
            made,
            letter.entry_id,
            letter.told("failed")[:19].replace("T", " "),
            letter.group,
            message.get("kind", "-"),
            message.get("account", "-"),
            message.get("subject", "-")[:SHORT_ID_CHARS],
            letter.told("reason"),
            truncate(letter.told("error"), SHORT),
            letter.told("deliveries"),
        )
    Screen().print(made)


def text(letter: DeadLetter) -> str:
    """All there is of one, to read."""
    message = letter.message
    facts = {
        "dead letter": letter.entry_id,
        "group": letter.group,
        "stream": letter.where.messages,
        "reason": letter.told("reason"),
        "error": letter.told("error"),
        "deliveries": letter.told("deliveries"),
        "consumer": letter.told("consumer"),
        "failed": letter.told("failed"),
        "entry": letter.told("entry"),
        **{name: value for name, value in message.items() if name != "data"},
    }
    wide = max(map(len, facts))
    shown = [f"{clean(name):<{wide}}  {clean(told)}" for name, told in facts.items()]
    pretty = json.dumps(data_of(message), indent=2, ensure_ascii=False)
    for title, block in (("data", pretty), ("traceback", letter.told("traceback"))):
        shown += ["", f"{title}:", *(f"  {clean(line)}" for line in block.splitlines())]
    return "\n".join(shown)
