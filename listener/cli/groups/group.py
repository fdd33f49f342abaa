"""`group`: lists consumer groups, and drops one that is no longer used."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import click

from listener.cli import click_options, common, queue_access
from listener.cli.render.tables import Table
from listener.inspection.consumer_groups import EntryCount, GroupStats
from listener.inspection.group_changes import group_drop
from listener.inspection.group_changes.group_drop import ACTIVE_MS, Drop
from listener.inspection.queue_view import QueueView
from listener.text import clean, counted, json_line
from listener.times import format_duration


@click.group(epilog="Example: python -m listener group list")
def group() -> None:
    """Look at the consumer groups, or drop one that is no longer used."""


@group.command("list", epilog="Example: python -m listener group list --json")
@click_options.as_json
def list_(*, as_json: bool) -> None:
    """List the consumer groups, each summed up over its partitions; `stats` shows each partition.

    Unread is what was not delivered to the group yet, pending what was delivered and not
    acknowledged, seen how long ago one of its consumers was at work.
    """
    with queue_access.open_queue() as queue:
        by_name = sorted(queue.groups, key=lambda each: each.name)
        groups = [list(each) for _, each in groupby(by_name, key=lambda each: each.name)]
        if as_json:
            for stats in groups:
                click.echo(json_line(_data(stats)))
        elif groups:
            _print_groups(groups)
        if not groups:
            queue_access.warn_no_group(queue)


@group.command(epilog="Example: python -m listener group drop old-billing --dry-run")
@click.argument("name", metavar="GROUP", required=False)
@click.option("--group", "-g", "named", metavar="GROUP", help="Another way to name it.")
@click.option("--dead-letters", is_flag=True, help="Delete its dead letters as well.")
@click.option("--force", is_flag=True, help="Also if consumers are at work, or messages pending.")
@click_options.dry_run
@click_options.yes
def drop(
    *,
    name: str | None,
    named: str | None,
    dead_letters: bool,
    force: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Drop a consumer group, after showing what that means.

    The group's cursor, the names of its consumers and the record of what is pending are gone then,
    in every partition. The messages, the other groups and, without --dead-letters, its dead letters
    stay. A group that is made again under this name begins with the oldest message.
    """
    if (name is None) == (named is None):
        raise click.UsageError("name one group")
    wanted = named if name is None else name
    with queue_access.open_queue() as queue:
        stats = _existing(queue, str(wanted))
        _print_partitions(stats)
        obstacle = "" if force else _obstacle(stats)
        if obstacle and not dry_run:
            common.fail(
                f"the group {wanted} was not dropped: {obstacle}. --force drops it all the same"
            )
        for line in _meaning(queue, stats, dead_letters=dead_letters):
            click.echo(clean(line))
        if dry_run:
            if obstacle:
                click.echo(clean(f"It needs --force: {obstacle}."))
            click.echo("Nothing was changed.")
            return
        common.confirm(clean(f"Drop the group {wanted}?"), yes)
        _print_drops(str(wanted), _drop(queue, str(wanted), force=force, dead_letters=dead_letters))


def _existing(queue: QueueView, name: str) -> list[GroupStats]:
    """The group in each partition that has it. Raises UsageError if none has."""
    stats = [each for each in queue.groups if each.name == name]
    if stats:
        return stats
    if any(queue.client.exists(partition.dead(name)) for partition in queue.partitions):
        raise click.UsageError(
            clean(
                f"the group {name!r} does not exist (any more), but left dead letters: "
                f"dead drop --group {name} --all"
            )
        )
    queue_access.resolve_groups(queue, name)
    return []


def _obstacle(stats: Sequence[GroupStats]) -> str:
    """Why the group is not dropped without --force; empty if nothing is in the way."""
    idle_ms = _idle_ms(stats)
    pending = sum(each.pending for each in stats)
    held = (
        f"{counted(pending, 'message')} {'is' if pending == 1 else 'are'} pending"
        if pending
        else ""
    )
    if idle_ms is not None and idle_ms < ACTIVE_MS:
        return (
            f"a consumer was at work {format_duration(idle_ms / 1000)} ago{held and f', and {held}'}. "
            "A consumer that runs makes the group again, and handles everything from the oldest message "
            f"on: stop it, and wait for {ACTIVE_MS // 1000} s"
        )
    return held and f"{held}: delivered, and not acknowledged"


def _meaning(queue: QueueView, stats: Sequence[GroupStats], *, dead_letters: bool) -> Iterator[str]:
    """What dropping the group means, in sentences."""
    name, unread = stats[0].name, _unread(stats)
    pending = sum(each.pending for each in stats)
    # Partitions that no longer have the group may still have its dead letters, which are deleted as well.
    dead = sum(queue.client.xlen(partition.dead(name)) for partition in queue.partitions)
    lost = [f"{counted(unread, 'message')} not delivered to {name} yet"] * bool(unread.entries)
    lost += [f"{counted(pending, 'pending message')}"] * bool(pending)
    if lost:
        yield (
            f"LOSSY: {' and '.join(lost)} will not be handled by it. They stay in the stream for the "
            "other groups; retention trims what was kept for this group alone."
        )
    if dead and dead_letters:
        yield f"LOSSY: {counted(dead, 'dead letter')} will be deleted for good."
    elif dead:
        yield (
            f"{counted(dead, 'dead letter')} will be kept (dead list --group {name}); --dead-letters "
            "deletes them as well."
        )
    if {each.name for each in queue.groups} == {name}:
        yield "It is the last group: without any, nothing is trimmed, and nobody reads the queue."


def _drop(queue: QueueView, name: str, *, force: bool, dead_letters: bool) -> list[Drop]:
    """Drops the group in one partition after the other; ends at the first where something is in the way."""
    drops: list[Drop] = []
    for partition in queue.partitions:
        done = group_drop.drop_group(
            queue.client, partition, name, force=force, dead_letters=dead_letters
        )
        if done.result in ("active", "pending"):
            why = "a consumer is at work" if done.result == "active" else "messages are pending"
            before = counted(sum(each.result == "dropped" for each in drops), "partition")
            common.fail(
                f"{why} in partition {partition.number} meanwhile: the group {name} was dropped in "
                f"{before}, and not in this one. Call the command again"
            )
        drops.append(done)
    return drops


def _print_drops(name: str, drops: Sequence[Drop]) -> None:
    if not any(done.result == "dropped" for done in drops):
        common.fail(f"the group {name} was gone already")
    dead = sum(done.dead for done in drops)
    also = f", and {counted(dead, 'dead letter')} deleted" if dead else ""
    click.echo(clean(f"The group {name} was dropped{also}."))


def _unread(stats: Sequence[GroupStats]) -> EntryCount:
    return EntryCount.total(each.lag for each in stats)


def _idle_ms(stats: Sequence[GroupStats]) -> int | None:
    return min((each.idle_ms for each in stats if each.idle_ms is not None), default=None)


def _data(stats: Sequence[GroupStats]) -> dict[str, Any]:
    """One line of `list --json`."""
    unread, idle_ms = _unread(stats), _idle_ms(stats)
    return {
        "group": stats[0].name,
        "partitions": [each.partition for each in stats],
        "unread": unread.entries,
        "unread_exact": unread.exact,
        "pending": sum(each.pending for each in stats),
        "last_active_s": None if idle_ms is None else idle_ms / 1000,
        "dead": sum(each.dead for each in stats),
    }


def _print_groups(groups: Sequence[Sequence[GroupStats]]) -> None:
    numbers = ("partitions", "unread", "pending", "dead")
    table = Table(("group", *numbers, "seen"), right_aligned=numbers)
    for stats in groups:
        pending, dead = sum(each.pending for each in stats), sum(each.dead for each in stats)
        idle_ms = _idle_ms(stats)
        seen = "-" if idle_ms is None else format_duration(idle_ms / 1000)
        table.add_row(stats[0].name, len(stats), _unread(stats), pending, dead, seen)
    table.print()


def _print_partitions(stats: Sequence[GroupStats]) -> None:
    numbers = ("partition", "unread", "pending", "dead", "consumers")
    table = Table((*numbers, "seen"), right_aligned=numbers)
    for each in stats:
        counts = (each.partition, each.lag, each.pending, each.dead, each.consumers)
        idle_ms = each.idle_ms
        table.add_row(*counts, "-" if idle_ms is None else format_duration(idle_ms / 1000))
    table.print()
