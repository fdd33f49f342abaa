"""The page of one message: what it says, what each group did with it, and what stands beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint

from listener.inspection.search.message_state import GroupState, group_states, neighbours
from listener.inspection.stream_entry import StreamEntry
from listener.ops.status_page.formats import arrival, commands
from listener.ops.status_page.links import device_link, entry_link, letter_link, upgrade_link
from listener.ops.status_page.message_content import MessageContent
from listener.ops.status_page.one_entry import (
    MAX_VALUE_BYTES,
    data_text,
    find_partition,
    partition_option,
    read_entry,
)
from listener.ops.status_page.page_context import PageContext, fail, render
from listener.text import counted
from listener.times import format_duration

MAX_DEVICE_LINKS = 20
MAX_COMMANDS = 5
LEVELS = {"acknowledged": "ok", "dead": "error", "not read yet": "plain"}


@dataclass(frozen=True)
class GroupRow:
    """What a group did, in words.

    Attributes:
        level: of the badge.
        text: the details.
        link: of its dead letter; empty: there is none.
    """

    group: str
    state: str
    level: str
    text: str
    link: str


def add_message_page(blueprint: Blueprint, context: PageContext) -> None:
    """Adds the route."""

    @blueprint.get("/messages/<int:partition>/<entry_id>")
    def message(partition: int, entry_id: str) -> str:
        where = find_partition(context, partition, entry_id)
        with context.queue() as view:
            now = view.now()
            entry = read_entry(view, where.messages, entry_id, partition) if where else None
            if where is None or entry is None:
                fail(404, "There is no such message", "It was trimmed, or never came.")
            states = group_states(view.client, where, entry.entry_id)
            before, after = neighbours(view.client, where, entry.entry_id)
        option = partition_option(context, partition)
        return render(
            "message.html", now, entry=entry, **_content(entry),
            groups=[_row(state, partition) for state in states], commands=commands(*_acts(entry, states, option)),
            previous=entry_link(partition, before) if before else "",
            following=entry_link(partition, after) if after else "",
        )  # fmt: skip


def _content(entry: StreamEntry) -> dict[str, Any]:
    """What the page shows of the message itself."""
    content = MessageContent.read(entry)
    devices, (data, size) = content.devices, data_text(entry)
    return {
        "title": content.title,
        "outcome": content.outcome,
        "arrived": arrival(entry),
        "upgrade_link": upgrade_link(entry.fields.get("subject", "")),
        "devices": [(device, device_link(device)) for device in devices[:MAX_DEVICE_LINKS]],
        "device_count": len(devices),
        "data": data,
        "size": size,
        "max_bytes": MAX_VALUE_BYTES,
    }


def _row(state: GroupState, partition: int) -> GroupRow:
    idle = "" if state.idle_ms is None else format_duration(state.idle_ms / 1000)
    deliveries = f"delivered {counted(state.deliveries, 'time')}"
    text = {
        "pending": f"with {state.consumer or '?'} for {idle}, {deliveries}",
        "given back": f"waits for a consumer for {idle}, {deliveries}",
        "dead": f"{state.reason}: {state.error}" if state.error else state.reason,
    }.get(state.state, "")
    link = letter_link(partition, state.letter, state.group) if state.letter else ""
    return GroupRow(state.group, state.state, LEVELS.get(state.state, "warning"), text, link)


def _acts(
    entry: StreamEntry, states: Sequence[GroupState], option: tuple[str, ...]
) -> list[tuple[str, ...]]:
    """What gives the message to a group again; one that has it, or has yet to read it, needs nothing."""
    acts = {"acknowledged": ("resend", entry.entry_id)}
    return [
        (*(("dead", "requeue", state.letter) if state.letter else acts[state.state]), "--group", state.group, *option)
        for state in states
        if state.letter or state.state in acts
    ][:MAX_COMMANDS]  # fmt: skip
