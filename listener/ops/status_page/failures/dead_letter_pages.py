"""The page of dead letters, grouped by error, and the page of one of them."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice

from flask import Blueprint, request

from listener.inspection.consumer_groups import group_names
from listener.inspection.dead_letters import SUMMARY, DeadLetter, error_key
from listener.inspection.entries import MIN_PAGE_BYTES
from listener.inspection.pages import pages
from listener.inspection.queue_view import QueueView
from listener.ops.status_page.failures.failure_groups import FailureGroup, by_error
from listener.ops.status_page.formats import commands, format_lines, parse_time
from listener.ops.status_page.links import entry_link, upgrade_link
from listener.ops.status_page.message_content import MessageContent
from listener.ops.status_page.one_entry import (
    MAX_VALUE_BYTES,
    data_text,
    find_partition,
    partition_option,
    read_entry,
)
from listener.ops.status_page.page_context import PageContext, fail, render
from listener.queue.keys import Partition
from listener.text import clean

# Of each consumer group and partition, the newest; and of all together.
MAX_LETTERS = 1_000
MAX_LETTER_BYTES = 4 * 2**20
MAX_ALL_LETTERS = 5_000
MAX_GROUPS = 50
MAX_ROWS = 20
# A command with more ids than this names the error instead.
MAX_COMMAND_IDS = 20


def add_dead_letter_pages(blueprint: Blueprint, context: PageContext) -> None:
    """Adds the routes."""

    @blueprint.get("/dead")
    def dead() -> str:
        return _by_error(context, request.args.get("group", ""))

    @blueprint.get("/dead/<int:partition>/<entry_id>")
    def dead_letter(partition: int, entry_id: str) -> str:
        return _one(context, partition, entry_id, request.args.get("group", ""))


def _by_error(context: PageContext, only: str) -> str:
    with context.queue() as view:
        now = view.now()
        # A group that was destroyed may have left some, and is found by its name alone.
        names = [only] if only else group_names(view.client, view.partitions)
        streams = [(partition, name) for name in names for partition in view.partitions]
        # The merge holds a page of each stream, so the streams share the bytes of one.
        page_bytes = max(MAX_LETTER_BYTES // max(len(streams), 1), MIN_PAGE_BYTES)
        newest = heapq.merge(
            *(_newest(view, *stream, page_bytes) for stream in streams),
            key=lambda letter: letter.entry.order,
            reverse=True,
        )
        # While they are read, so that this process serves others between the pages of them.
        groups = by_error(islice(newest, MAX_ALL_LETTERS))
        total = sum(view.client.xlen(partition.dead(name)) for partition, name in streams)
    return render(
        "dead_letters.html", now, groups=groups[:MAX_GROUPS], more=len(groups) - MAX_GROUPS, total=total,
        read=sum(len(group.letters) for group in groups), only=only, max_rows=MAX_ROWS,
        max_ids=MAX_COMMAND_IDS, commands=partial(_commands_for, context),
    )  # fmt: skip


def _newest(
    view: QueueView, partition: Partition, group: str, page_bytes: int
) -> Iterator[DeadLetter]:
    """The beginnings of a group's newest dead letters, newest first. Raises redis.RedisError."""
    projection = replace(SUMMARY, max_bytes=page_bytes)
    read = size = 0
    for page in pages(
        view.client, partition.dead(group), "+", "-", projection=projection,
        newest_first=True, partition=partition.number,
    ):  # fmt: skip
        for entry in page.entries:
            yield DeadLetter(partition, group, entry)
        read, size = read + len(page.entries), size + page.bytes
        if read >= MAX_LETTERS or size >= MAX_LETTER_BYTES:
            return


def _commands_for(context: PageContext, group: FailureGroup) -> Sequence[str]:
    """What gives a group of letters back, the oldest first; of each partition by itself."""
    if len(group.letters) > MAX_COMMAND_IDS:
        # Other letters whose error contains this text are given back as well: the page says so.
        what = clean(error_key(group.error))
        if not what.strip():
            # No option chooses the letters without an error.
            return []
        return commands(("dead", "requeue", "--error", what, "--group", group.group))
    ids: dict[int, list[str]] = {}
    for letter in reversed(group.letters):
        ids.setdefault(letter.partition.number, []).append(letter.entry_id)
    requeue = ("dead", "requeue")
    lines = [
        (*requeue, *ids[number], "--group", group.group, *partition_option(context, number))
        for number in sorted(ids)
    ]
    return commands(*lines)


def _one(context: PageContext, partition: int, entry_id: str, group: str) -> str:
    where = find_partition(context, partition, entry_id)
    with context.queue() as view:
        now = view.now()
        stream = where.dead(group) if where and group else ""
        entry = read_entry(view, stream, entry_id, partition) if stream else None
    if where is None or entry is None:
        fail(404, "There is no such dead letter", "It was given back or dropped, or never was.")
    letter, (data, size) = DeadLetter(where, group, entry), data_text(entry)
    original = letter.field("entry")
    is_known = find_partition(context, partition, original) is not None
    act = (letter.entry_id, "--group", group, *partition_option(context, partition))
    return render(
        "dead_letter.html", now, letter=letter, title=MessageContent.read(entry).title,
        data=data, size=size, max_bytes=MAX_VALUE_BYTES, traceback=format_lines(letter.field("traceback")),
        message_link=entry_link(partition, original) if is_known else "",
        upgrade_link=upgrade_link(entry.fields.get("subject", "")),
        failed=parse_time(letter.field("failed")),
        commands=commands(("dead", "requeue", *act), ("dead", "drop", *act)),
    )  # fmt: skip
