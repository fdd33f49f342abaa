"""`pending`: lists the messages that were delivered and not acknowledged."""

import heapq
from collections.abc import Sequence
from itertools import islice
from typing import Any

import click

from listener.cli import click_options, common, queue_access
from listener.cli.render.tables import Table
from listener.inspection.consumer_groups import group_infos
from listener.inspection.entry_text import SHORT_ID_CHARS
from listener.inspection.pending_entries import PendingEntry, pending_entries
from listener.inspection.queue_view import QueueView
from listener.times import format_duration, format_entry_time


@click.command(
    epilog="Example: python -m listener pending --group billing --limit 10",
)
@click_options.optional_group
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=common.MAX_TABLE_ROWS,
    show_default=True,
    help="At most so many, the oldest.",
)
@click_options.as_json
def pending(*, group: str | None, limit: int, as_json: bool) -> None:
    """List the messages that were delivered and not acknowledged, the oldest first.

    Those of a consumer that is at work are normal; those that stay belong to one that crashed, until
    another takes them over. `requeued` is no consumer, but holds what `dead requeue` gave back, and
    `handed-back` what one gave back when it stopped: idle is for how long that waits.
    """
    with queue_access.open_queue() as queue:
        entries = _oldest(queue, queue_access.resolve_groups(queue, group), limit + 1)
        if not common.print_list(entries, limit, as_json, LISTING):
            queue_access.warn_no_stream(queue)
    if as_json:
        common.warn_truncated(entries, limit)


def _data(pending: PendingEntry) -> dict[str, Any]:
    """One line of --json."""
    entry = pending.entry
    return {
        "entry": entry.entry_id,
        "partition": entry.partition,
        "group": pending.group,
        "kind": entry.fields.get("kind"),
        "account": entry.fields.get("account"),
        "subject": entry.fields.get("subject"),
        "consumer": pending.consumer,
        "idle_s": pending.idle_ms / 1000,
        "deliveries": pending.deliveries,
        # Trimmed or deleted by hand: it can only be acknowledged.
        "exists": bool(entry.fields),
    }


def _oldest(queue: QueueView, groups: list[str], limit: int) -> list[PendingEntry]:
    lists = [
        pending_entries(queue.client, partition, info["name"])
        for partition in queue.partitions
        for info in group_infos(queue.client, partition)
        if info["name"] in groups
    ]
    return list(islice(heapq.merge(*lists, key=lambda pending: pending.entry.order), limit))


def _print_table(entries: Sequence[PendingEntry]) -> None:
    table = Table(
        ("entry", "received", "group", "kind", "account", "upgrade", "consumer", "idle", "deliveries"),
        right_aligned=("deliveries",),
        once=("group", "kind", "account", "upgrade", "consumer", "deliveries"),
    )  # fmt: skip
    for pending in entries:
        entry_id, fields = pending.entry.entry_id, pending.entry.fields
        table.add_row(
            entry_id,
            format_entry_time(entry_id),
            pending.group,
            fields.get("kind", "?") if fields else "(is no longer there)",
            fields.get("account", "-"),
            fields.get("subject", "-")[:SHORT_ID_CHARS],
            pending.consumer,
            format_duration(pending.idle_ms / 1000),
            pending.deliveries,
        )
    table.print()


LISTING = common.Listing(_data, _print_table, "Nothing is pending.")
