"""`pending`: what was given to a consumer and not acknowledged."""

import heapq
from itertools import islice
from typing import Any

import click

from listener import text
from listener.cli import common, options
from listener.cli.render import tables
from listener.cli.render.tables import Screen
from listener.inspection import consumer_groups, entry_text
from listener.inspection import pending_entries as held
from listener.inspection.pending_entries import Pending
from listener.inspection.view import View
from listener.times import format_duration, format_entry_time


@click.command(
    short_help="What was delivered and not acknowledged.",
    epilog="Example: python -m listener pending --group billing --limit 10",
)
@options.group_wanted
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=options.MOST_IN_A_TABLE,
    show_default=True,
    help="At most so many, the oldest.",
)
@options.as_json
def pending(*, group: str | None, limit: int, as_json: bool) -> None:
    """List the messages that were delivered and not acknowledged, the oldest first.

    Those of a consumer that is at work are normal; those that stay belong to one that crashed, until
    another takes them over. `requeued` is no consumer, but holds what `dead requeue` gave back, and
    `handed-back` what one gave back when it stopped: idle is for how long that waits.
    """
    with common.opened() as queue:
        found = _oldest(queue, common.wanted_groups(queue, group), limit + 1)
    if as_json:
        for one in found[:limit]:
            click.echo(text.json_line(data(one)))
    elif not found:
        click.echo("Nothing is pending.")
    else:
        _print(found[:limit])
    common.tell_of_more(found, limit)


def data(one: Pending) -> dict[str, Any]:
    """One line of --json."""
    fields = one.entry.fields
    return {
        "entry": one.entry.entry_id,
        "partition": one.entry.partition,
        "group": one.group,
        "kind": fields.get("kind"),
        "account": fields.get("account"),
        "subject": fields.get("subject"),
        "consumer": one.consumer,
        "idle_s": one.idle_ms / 1000,
        "deliveries": one.deliveries,
        # Trimmed or deleted by hand: it can only be acknowledged.
        "exists": bool(fields),
    }


def _oldest(queue: View, names: list[str], most: int) -> list[Pending]:
    found = [
        held.pending(queue.client, where, name)
        for where in queue.partitions
        for name in names
        if any(info["name"] == name for info in consumer_groups.infos(queue.client, where))
    ]
    return list(islice(heapq.merge(*found, key=lambda one: one.entry.order), most))


def _print(found: list[Pending]) -> None:
    made = tables.table(
        "entry", "received", "group", "kind", "account", "upgrade", "consumer", "idle", "deliveries",
        right=("deliveries",), whole=("entry",),
    )  # fmt: skip
    for one in found:
        fields = one.entry.fields
        tables.row(
            made,
            one.entry.entry_id,
            format_entry_time(one.entry.entry_id),
            one.group,
            fields.get("kind", "?") if fields else "(is no longer there)",
            fields.get("account", "-"),
            fields.get("subject", "-")[: entry_text.SHORT_ID_CHARS],
            one.consumer,
            format_duration(one.idle_ms / 1000),
            one.deliveries,
        )
    Screen().print(made)
