"""The pages of what went wrong: dead letters by error, quarantined messages by reason, and one of each."""

from collections.abc import Iterator
from dataclasses import replace

from flask import Blueprint, request

from listener.inspection.consumer_groups import group_names
from listener.inspection.dead_letters import SUMMARY, DeadLetter
from listener.inspection.pages import pages
from listener.inspection.quarantined_messages import newest_quarantined
from listener.inspection.queue_view import QueueView
from listener.ops.status_page.failures.failure_groups import FailureGroup, by_error, by_reason
from listener.ops.status_page.formats import commands, format_lines, parse_time
from listener.ops.status_page.links import entry_link, upgrade_link
from listener.ops.status_page.message_content import title
from listener.ops.status_page.message_page import (
    MAX_VALUE_BYTES,
    data_text,
    find_partition,
    read_entry,
)
from listener.ops.status_page.page_context import PageContext, fail, render

# Of each consumer group and partition, the newest.
MAX_LETTERS = 1_000
MAX_LETTER_BYTES = 4 * 2**20
MAX_GROUPS = 50
MAX_ROWS = 20
MAX_QUARANTINED = 200
# A command line with more ids is not typed by hand: the command has a choice by error for them.
MAX_COMMAND_IDS = 20


def add_failure_pages(blueprint: Blueprint, context: PageContext) -> None:
    """Adds the routes."""

    @blueprint.get("/dead")
    def dead() -> str:
        only = request.args.get("group", "")
        with context.queue() as view:
            now = view.now()
            names = [
                name for name in group_names(view.client, view.partitions) if only in {"", name}
            ]
            letters = [letter for name in names for letter in _newest_letters(view, name)]
            total = sum(
                view.client.xlen(partition.dead(name))
                for name in names
                for partition in view.partitions
            )
        groups = by_error(letters)
        return render(
            "dead_letters.html", now, groups=groups[:MAX_GROUPS], more=len(groups) - MAX_GROUPS, total=total,
            read=len(letters), only=only, max_rows=MAX_ROWS, commands=_commands_for,
        )  # fmt: skip

    @blueprint.get("/dead/<int:partition>/<entry_id>")
    def dead_letter(partition: int, entry_id: str) -> str:
        group = request.args.get("group", "")
        where = find_partition(context, partition, entry_id)
        with context.queue() as view:
            now = view.now()
            entry = (
                read_entry(view, where.dead(group), entry_id, partition)
                if where and group
                else None
            )
        if where is None or entry is None:
            fail(404, "There is no such dead letter", "It was given back or dropped, or never was.")
        letter = DeadLetter(where, group, entry)
        data, size = data_text(entry) if "data" in entry.fields else ("", 0)
        ids = (letter.entry_id, "--group", group)
        return render(
            "dead_letter.html", now, letter=letter, title=title(entry), data=data, size=size,
            max_bytes=MAX_VALUE_BYTES, traceback=format_lines(letter.field("traceback")),
            message_link=entry_link(partition, letter.field("entry"))
            if find_partition(context, partition, letter.field("entry")) else "",
            upgrade_link=upgrade_link(entry.fields.get("subject", "")),
            failed=parse_time(letter.field("failed")),
            commands=commands(("dead", "requeue", *ids), ("dead", "drop", *ids)),
        )  # fmt: skip

    @blueprint.get("/quarantine")
    def quarantine() -> str:
        with context.queue() as view:
            now = view.now()
            stream = view.partitions[0]
            messages = newest_quarantined(view.client, stream, MAX_QUARANTINED)
            total = view.client.xlen(stream.quarantine)
        return render(
            "quarantine.html", now, groups=by_reason(messages), read=len(messages), total=total,
            max_rows=MAX_ROWS,
            commands=commands(("quarantine", "list"), ("quarantine", "replay", "--all")),
        )  # fmt: skip

    @blueprint.get("/quarantine/<entry_id>")
    def quarantined(entry_id: str) -> str:
        where = find_partition(context, 0, entry_id)
        with context.queue() as view:
            now = view.now()
            entry = read_entry(view, where.quarantine, entry_id, 0) if where else None
        if entry is None:
            fail(404, "There is no such message", "It was replayed or dropped, or never was.")
        return render(
            "quarantined.html", now, entry=entry, size=entry.cut.get("data", 0), max_bytes=MAX_VALUE_BYTES,
            data=format_lines(entry.fields.get("data", "")),
            arrived=parse_time(entry.fields.get("time")),
            commands=commands(("quarantine", "replay", entry.entry_id), ("quarantine", "drop", entry.entry_id)),
        )  # fmt: skip


def _newest_letters(view: QueueView, group: str) -> Iterator[DeadLetter]:
    """The beginnings of a group's newest dead letters. Raises redis.RedisError."""
    projection = replace(SUMMARY, max_bytes=MAX_LETTER_BYTES)
    for partition in view.partitions:
        read = size = 0
        for page in pages(
            view.client, partition.dead(group), "+", "-", projection=projection,
            newest_first=True, partition=partition.number,
        ):  # fmt: skip
            for entry in page.entries:
                yield DeadLetter(partition, group, entry)
            read, size = read + len(page.entries), size + page.bytes
            if read >= MAX_LETTERS or size >= MAX_LETTER_BYTES:
                break


def _commands_for(group: FailureGroup) -> list[str]:
    """What gives a group of letters back."""
    ids = [letter.entry_id for letter in group.letters]
    if len(ids) > MAX_COMMAND_IDS:
        return commands(("dead", "list", "--group", group.group))
    return commands(("dead", "requeue", *ids, "--group", group.group))
