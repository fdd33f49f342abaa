"""`dead`: lists, shows, requeues and deletes dead letters."""

from collections import Counter
from typing import Any, Literal

import click

from listener.cli import click_options, common, queue_access
from listener.cli.dead_letters import letter_formats
from listener.cli.dead_letters.letter_groups import by_error
from listener.cli.dead_letters.selection import (
    Selection,
    error_option,
    read_all,
    read_filter,
    resolve_groups,
    selecting,
)
from listener.inspection import dead_letters
from listener.inspection.dead_letters import SUMMARY
from listener.inspection.pages import ALL_FIELDS
from listener.queue.keys import Partition
from listener.text import clean, counted, json_line

EMPTY = "There are no dead letters, or none like that."
LETTERS = common.Listing(letter_formats.summary, letter_formats.print_table, EMPTY)
GROUPS = common.Listing(letter_formats.group_data, letter_formats.print_groups, EMPTY)


@click.group(
    epilog="Example: python -m listener dead list --group billing",
)
def dead() -> None:
    """Look at, give back or drop what a consumer group gave up on."""


@dead.command("list", epilog="Example: python -m listener dead list --by error --since 2d")
@click_options.optional_group
@click_options.kinds
@error_option
@click_options.since
@click.option(
    "--by", type=click.Choice(["error"]), help="Count them by error, the most frequent first."
)
@click_options.limit
@click_options.as_json
def list_(
    *,
    group: str | None,
    kinds: tuple[str, ...],
    error: str | None,
    since: str | None,
    by: Literal["error"] | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """List dead letters, group by group, the oldest first.

    With --by error, # stands for numbers and ids, which differ from message to message.
    """
    with queue_access.open_queue() as queue:
        wanted = read_filter(queue, kinds, error, since)
        letters = read_all(queue, resolve_groups(queue, group), SUMMARY, wanted=wanted)
        if by:
            is_any = common.print_list(by_error(letters), limit, as_json, GROUPS)
        else:
            is_any = common.print_list(letters, limit, as_json, LETTERS)
        if not is_any:
            queue_access.warn_no_stream(queue)


@dead.command(
    short_help="Show one whole.",
    epilog="Example: python -m listener dead show 1795397513221-0 --group billing",
)
@click.argument("entry_id", metavar="ID")
@click_options.optional_group
@click_options.partition
@click_options.as_json
def show(*, entry_id: str, group: str | None, partition: int | None, as_json: bool) -> None:
    """Show all there is of a dead letter: the message, the error, the traceback."""
    common.check_ids([entry_id])
    with queue_access.open_queue() as queue:
        groups = resolve_groups(queue, group)
        places = queue_access.chosen_partitions(queue, partition)
        letters = list(read_all(queue, groups, ALL_FIELDS, only=entry_id, partitions=places))
    if not letters:
        common.fail(f"there is no dead letter {entry_id}")
    for letter in letters:
        click.echo(
            json_line(letter_formats.whole(letter)) if as_json else letter_formats.text(letter)
        )


@dead.command(
    short_help="Give dead letters back to their group.",
    epilog="Example: python -m listener dead requeue --group billing --error KeyError --limit 10",
)
@selecting
def requeue(*, group: str, dry_run: bool, yes: bool, **chosen: Any) -> None:
    """Give dead letters back to their group, whose consumers then take them over.

    Only this group gets them again, with their deliveries counted anew. If the original entry is no
    longer in the stream, the message is added as a new one, and every group gets it again. Asks
    unless each letter is named by its id.
    """
    selection = Selection(**chosen)
    with queue_access.open_queue() as queue:
        resolve_groups(queue, group)
        letters = selection.choose(queue, group)
        if letters and selection.is_asked_about and not dry_run:
            common.confirm(
                clean(f"Give {counted(len(letters), 'dead letter')} back to {group}?"), yes
            )
        results = Counter[str]()
        for partition, entry_id in letters:
            result, original = dead_letters.requeue(
                queue.client, partition, group, entry_id, dry_run=dry_run
            )
            if result == "no-group":
                _fail_without_group(partition, group, results.total())
            results[result] += 1
            _print_requeued(entry_id, result, original, dry_run=dry_run)
    _end(results["again"] + results["added"], "given back", selection, dry_run=dry_run)
    if results["empty"]:
        raise click.exceptions.Exit(common.EXIT_FAILURE)


@dead.command(epilog="Example: python -m listener dead drop 1795397513221-0 --group billing --yes")
@selecting
def drop(*, group: str, dry_run: bool, yes: bool, **chosen: Any) -> None:
    """Delete dead letters for good."""
    selection = Selection(**chosen)
    with queue_access.open_queue() as queue:
        resolve_groups(queue, group)
        letters = selection.choose(queue, group)
        if dry_run:
            for _, entry_id in letters:
                click.echo(f"{entry_id}: would be dropped")
            dropped = len(letters)
        else:
            if letters:
                what = counted(len(letters), "dead letter")
                common.confirm(clean(f"Delete {what} of {group} for good?"), yes)
            dropped = sum(
                dead_letters.delete_dead_letter(queue.client, partition, group, entry_id)
                for partition, entry_id in letters
            )
    _end(dropped, "dropped", selection, dry_run=dry_run)


def _print_requeued(letter_id: str, result: str, entry_id: str, *, dry_run: bool) -> None:
    would = "would be" if dry_run else "is"
    if result == "again":
        click.echo(f"{letter_id}: {entry_id} {would} pending again")
    elif result == "added":
        how = "would be added anew" if dry_run else f"added as {entry_id}"
        click.echo(f"{letter_id}: {how}: every group gets it again")
    elif result == "empty":
        click.echo(f"{letter_id}: nothing of its message is left: only drop it", err=True)


def _fail_without_group(partition: Partition, group: str, before: int) -> None:
    common.fail(
        f"the group {group!r} no longer exists in {partition.messages}; "
        f"{before} given back before. Make it again, or drop its dead letters"
    )


def _end(count: int, done: str, selection: Selection, *, dry_run: bool) -> None:
    click.echo(f"{counted(count, 'dead letter')} {'would be ' if dry_run else ''}{done}.")
    if dry_run:
        click.echo("Nothing was changed.")
    if count < len(selection.entry_ids):
        raise click.exceptions.Exit(common.EXIT_FAILURE)
