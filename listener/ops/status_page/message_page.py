"""The page of one message: what it says, what each group did with it, and what stands beside it."""

from dataclasses import dataclass

from flask import Blueprint

from listener import entry_ids
from listener.inspection.entry_text import data_of
from listener.inspection.pages import Projection, pages
from listener.inspection.queue_view import QueueView
from listener.inspection.search.message_state import GroupState, group_states, neighbours
from listener.inspection.stream_entry import StreamEntry
from listener.ops.status_page.formats import arrival, commands, format_json
from listener.ops.status_page.links import (
    device_link,
    entry_link,
    letter_link,
    upgrade_link,
)
from listener.ops.status_page.message_content import device_ids, outcome, title
from listener.ops.status_page.page_context import PageContext, fail, render
from listener.queue.keys import Partition, every_partition
from listener.text import escape
from listener.times import format_duration

# Of a value; formatting more would delay the messages that this process receives.
MAX_VALUE_BYTES = 2**18
MAX_DEVICE_LINKS = 20


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
        fields, devices = entry.fields, device_ids(entry)
        data, size = data_text(entry)
        return render(
            "message.html", now, entry=entry, title=title(entry), outcome=outcome(entry), data=data, size=size,
            max_bytes=MAX_VALUE_BYTES, arrived=arrival(entry),
            upgrade_link=upgrade_link(fields.get("subject", "")),
            devices=[(device, device_link(device)) for device in devices[:MAX_DEVICE_LINKS]],
            device_count=len(devices),
            groups=[_row(state, partition) for state in states],
            previous=entry_link(partition, before) if before else "",
            following=entry_link(partition, after) if after else "",
            commands=commands(*(("resend", entry.entry_id, "--group", state.group) for state in states[:3])),
        )  # fmt: skip


def find_partition(context: PageContext, number: int, entry_id: str) -> Partition | None:
    """The partition of an address; None if there is none, or the entry id is none."""
    queue = context.settings.queue
    partitions = every_partition(queue.namespace, queue.partitions)
    if number >= len(partitions) or not entry_ids.PATTERN.fullmatch(entry_id):
        return None
    if max(entry_ids.parse(entry_id)) > entry_ids.MAX_PART:
        return None
    return partitions[number]


def read_entry(view: QueueView, stream: str, entry_id: str, partition: int) -> StreamEntry | None:
    """One entry of a stream, of long values the beginning; None: there is none. Raises redis.RedisError."""
    projection = Projection(max_value_bytes=MAX_VALUE_BYTES, max_entries=1)
    found = pages(
        view.client, stream, entry_id, entry_id, projection=projection, partition=partition
    )
    page = next(found, None)
    return page.entries[0] if page else None


def data_text(entry: StreamEntry) -> tuple[str, int]:
    """The data of an entry for people, and their whole size in bytes if only the beginning was read, else 0."""
    size = entry.cut.get("data", 0)
    # JSON without its end cannot be parsed, so it is shown as it is.
    return (escape(entry.fields["data"]) if size else format_json(data_of(entry.fields))), size


def _row(state: GroupState, partition: int) -> GroupRow:
    level = {"acknowledged": "ok", "dead": "error", "not read yet": "plain"}
    idle = "" if state.idle_ms is None else format_duration(state.idle_ms / 1000)
    deliveries = f"delivered {state.deliveries} {'time' if state.deliveries == 1 else 'times'}"
    text = {
        "pending": f"with {state.consumer or '?'} for {idle}, {deliveries}",
        "given back": f"waits for a consumer for {idle}, {deliveries}",
        "dead": f"{state.reason}: {state.error}" if state.error else state.reason,
    }.get(state.state, "")
    link = letter_link(partition, state.letter, state.group) if state.letter else ""
    return GroupRow(state.group, state.state, level.get(state.state, "warning"), text, link)
