"""`replay`: moves a consumer group's cursor back or forward."""

from collections.abc import Sequence

import click

from listener import entry_ids, times
from listener.cli import click_options, common, queue_access
from listener.cli.render.tables import Table
from listener.inspection.consumer_groups import MAX_COUNTED, EntryCount
from listener.inspection.group_changes import group_cursor
from listener.inspection.group_changes.group_cursor import CursorMove
from listener.text import counted
from listener.times import format_entry_time


@click.command(
    epilog="Example: python -m listener replay --group billing --from 2h --dry-run",
)
@click_options.required_group
@click.option(
    "--from",
    "start",
    required=True,
    metavar="TIME|ID",
    help="What the group is to get next: `start`, `now`, a time such as 2026-11-23T08:00 (UTC), so "
    "long ago as 2h, or an entry id.",
)
@click.option("--dry-run", is_flag=True, help="Only show what it means.")
@click_options.yes
def replay(*, group: str, start: str, dry_run: bool, yes: bool) -> None:
    """Move a consumer group's cursor, after showing what that means.

    Back: the group gets again what it has had, and its handlers must bear that. Forward: what lies
    between is skipped, which loses it for this group. What is pending remains pending.
    """
    with queue_access.open_queue() as queue:
        queue_access.resolve_groups(queue, group)
        first = common.resolve_time_option(times.first_id, start, queue.now(), "--from")
        after = entry_ids.predecessor(first)
        moves = group_cursor.plan_moves(queue.client, queue.partitions, group, after)
        _print_table(moves)
        for line in _meaning(group, moves):
            click.echo(line)
        if dry_run or all(move.current == move.target for move in moves):
            click.echo("Nothing was changed.")
            return
        common.confirm("Move the group?", yes)
        group_cursor.apply_moves(queue.client, group, moves)
        click.echo(f"The group {group} was moved.")


def _meaning(group: str, moves: Sequence[CursorMove]) -> list[str]:
    """What the moves mean, in sentences."""
    redelivered = EntryCount.total(move.redelivered for move in moves)
    skipped = EntryCount.total(move.skipped for move in moves)
    pending = sum(move.pending for move in moves)
    lines = []
    if redelivered.entries:
        lines.append(f"{counted(redelivered, 'message')} will be delivered to {group} again.")
    if skipped.entries:
        lines.append(
            f"LOSSY: {counted(skipped, 'message')} not delivered to {group} yet will never be."
        )
    if pending:
        lines.append(
            f"{counted(pending, 'message')} pending, as before: a cursor does not touch those."
        )
    if not (redelivered.exact and skipped.exact):
        lines.append(f"(+: counted up to {MAX_COUNTED} in each partition, there are more.)")
    lines.append("Consumers that are at work go on meanwhile: the figures are of this moment.")
    return lines


def _print_table(moves: Sequence[CursorMove]) -> None:
    table = Table(
        ("partition", "cursor now", "written", "goes on behind", "again", "skipped", "pending"),
        right_aligned=("partition", "again", "skipped", "pending"),
    )  # fmt: skip
    for move in moves:
        table.add_row(
            move.partition.number,
            move.current,
            _time(move.current),
            _time(move.target),
            move.redelivered,
            move.skipped,
            move.pending,
        )
    table.print()


def _time(cursor: str) -> str:
    return format_entry_time(cursor) if entry_ids.parse(cursor) > (0, 0) else "the start"
