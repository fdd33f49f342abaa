"""`replay`: sets a consumer group back or forward."""

from collections.abc import Sequence

import click

from listener import entry_ids, times
from listener.cli import common, options
from listener.cli.render import tables
from listener.cli.render.tables import Screen
from listener.inspection import group_cursor
from listener.inspection.consumer_groups import MOST_COUNTED, Count
from listener.inspection.group_cursor import Move
from listener.text import counted
from listener.times import format_entry_time


@click.command(
    short_help="Set a consumer group back or forward.",
    epilog="Example: python -m listener replay --group billing --from 2h --dry-run",
)
@options.group_needed
@click.option(
    "--from",
    "start",
    required=True,
    metavar="TIME|ID",
    help="What the group is to get next: `start`, `now`, a time such as 2026-11-23T08:00 (UTC), so "
    "long ago as 2h, or an entry id.",
)
@click.option("--dry-run", is_flag=True, help="Only show what it means.")
@options.yes
def replay(*, group: str, start: str, dry_run: bool, yes: bool) -> None:
    """Move a consumer group's cursor, after showing what that means.

    Back: the group gets again what it has had, and its handlers must bear that. Forward: what lies
    between is skipped, which loses it for this group. What is pending remains pending.
    """
    with common.opened() as queue:
        common.wanted_groups(queue, group)
        first = common.place(times.first_id, start, queue.now(), "--from")
        moves = group_cursor.plan(
            queue.client, queue.partitions, group, entry_ids.predecessor(first)
        )
        _print(moves)
        for line in meaning(group, moves):
            click.echo(line)
        if dry_run or all(move.now == move.to for move in moves):
            click.echo("Nothing was changed.")
            return
        common.confirm("Move the group?", yes)
        group_cursor.apply(queue.client, group, moves)
        click.echo(f"The group {group} was moved.")


def meaning(group: str, moves: Sequence[Move]) -> list[str]:
    """What the moves mean, in sentences."""
    again, skipped = (
        total([getattr(move, name) for move in moves]) for name in ("again", "skipped")
    )
    pending = sum(move.pending for move in moves)
    told = []
    if again.entries:
        told.append(f"{counted(again, 'message')} will be delivered to {group} again.")
    if skipped.entries:
        told.append(
            f"LOSSY: {counted(skipped, 'message')} not delivered to {group} yet will never be."
        )
    if pending:
        told.append(
            f"{counted(pending, 'message')} pending, as before: a cursor does not touch those."
        )
    if not (again.exact and skipped.exact):
        told.append(f"(+: counted up to {MOST_COUNTED} in each partition, there are more.)")
    told.append("Consumers that are at work go on meanwhile: the figures are of this moment.")
    return told


def total(counts: Sequence[Count]) -> Count:
    """The sum; exact if all are."""
    return Count(sum(one.entries for one in counts), all(one.exact for one in counts))


def _print(moves: Sequence[Move]) -> None:
    made = tables.table(
        "partition", "cursor now", "written", "goes on behind", "again", "skipped", "pending",
        right=("partition", "again", "skipped", "pending"), whole=("cursor now",),
    )  # fmt: skip
    for move in moves:
        counts = (move.again, move.skipped, move.pending)
        tables.row(made, move.where.number, move.now, _time(move.now), _time(move.to), *counts)
    Screen().print(made)


def _time(cursor: str) -> str:
    return format_entry_time(cursor) if entry_ids.parse(cursor) > (0, 0) else "the start"
