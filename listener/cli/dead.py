"""`dead`: what consumer groups gave up on."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice

import click

from listener import text
from listener.cli import common, options
from listener.cli.render import dead_letters
from listener.inspection import dead_letters as letters
from listener.inspection.dead_letters import SHORT, DeadLetter, Requeuer
from listener.inspection.pages import IDS, Part
from listener.inspection.view import View


@click.group(
    short_help="What consumer groups gave up on.",
    epilog="Example: python -m listener dead list --group billing",
)
def dead() -> None:
    """Look at, give back or drop what a consumer group gave up on."""


@dead.command("list", epilog="Example: python -m listener dead list --group billing --json")
@options.group_wanted
@options.limit
@options.as_json
def list_(*, group: str | None, limit: int | None, as_json: bool) -> None:
    """List dead letters, group by group, the oldest first."""
    with common.opened() as queue:
        found = _all(queue, _groups(queue, group), SHORT)
        if as_json:
            for letter in islice(found, limit):
                click.echo(text.json_line(dead_letters.data(letter, short=True)))
        else:
            most = limit or options.MOST_IN_A_TABLE
            some = list(islice(found, most + 1))
            dead_letters.show(some[:most])
            common.tell_of_more(some, most)


@dead.command(
    short_help="Show one whole.",
    epilog="Example: python -m listener dead show 1795397513221-0 --group billing",
)
@click.argument("entry_id", metavar="ID")
@options.group_wanted
@options.as_json
def show(*, entry_id: str, group: str | None, as_json: bool) -> None:
    """Show all there is of a dead letter: the message, the error, the traceback."""
    common.check_ids([entry_id])
    with common.opened() as queue:
        found = [
            letter
            for name in _groups(queue, group)
            for where in queue.partitions
            for letter in letters.letters(queue.client, where, name, only=entry_id)
        ]
    if not found:
        common.fail(f"there is no dead letter {entry_id}")
    for letter in found:
        click.echo(
            text.json_line(dead_letters.data(letter)) if as_json else dead_letters.text(letter)
        )


@dead.command(
    short_help="Give dead letters back to their group.",
    epilog="Example: python -m listener dead requeue --group billing --all",
)
@click.argument("entry_ids", metavar="[ID]...", nargs=-1)
@options.group_needed
@options.every
def requeue(*, entry_ids: tuple[str, ...], group: str, every: bool) -> None:
    """Give dead letters back to their group, whose consumers then take them over.

    Only this group gets them again, with their deliveries counted anew. If the original entry is no
    longer in the stream, the message is added as a new one, and every group gets it again.
    """
    common.chosen_ids(entry_ids, every)
    with common.opened() as queue:
        _groups(queue, group)
        requeuer, done = Requeuer(queue.client), Counter[str]()
        for letter in _chosen(queue, group, entry_ids):
            how, entry_id = requeuer.requeue(letter)
            if how == "no-group":
                _fail_without_group(letter, done)
            done[how] += 1
            if how == "added":
                click.echo(f"{letter.entry_id}: added as {entry_id}: every group gets it again")
            elif how == "again":
                click.echo(f"{letter.entry_id}: {entry_id} is pending again")
            elif how == "empty":
                click.echo(
                    f"{letter.entry_id}: nothing of its message is left: only drop it", err=True
                )
    _tell(done["again"] + done["added"], "given back", entry_ids)
    if done["empty"]:
        raise click.exceptions.Exit(common.FAILED)


@dead.command(epilog="Example: python -m listener dead drop 1795397513221-0 --group billing --yes")
@click.argument("entry_ids", metavar="[ID]...", nargs=-1)
@options.group_needed
@options.every
@options.yes
def drop(*, entry_ids: tuple[str, ...], group: str, every: bool, yes: bool) -> None:
    """Delete dead letters for good."""
    common.chosen_ids(entry_ids, every)
    with common.opened() as queue:
        _groups(queue, group)
        # Not the letters themselves: nothing bounds how many there are.
        chosen = [(one.where, one.entry_id) for one in _chosen(queue, group, entry_ids)]
        if chosen:
            common.confirm(
                f"Delete {text.counted(len(chosen), 'dead letter')} of {group} for good?", yes
            )
        dropped = sum(
            letters.drop(queue.client, where, group, entry_id) for where, entry_id in chosen
        )
    _tell(dropped, "dropped", entry_ids)


def _groups(queue: View, wanted: str | None) -> list[str]:
    """The groups to look at. One that was destroyed may have left dead letters.

    Raises UsageError for one that is neither there nor has any.
    """
    if wanted is None:
        return letters.groups_with_letters(queue.client, queue.partitions)
    if not any(queue.client.exists(where.dead(wanted)) for where in queue.partitions):
        return common.wanted_groups(queue, wanted)
    return [wanted]


def _all(queue: View, names: Sequence[str], part: Part) -> Iterator[DeadLetter]:
    for name in names:
        for where in queue.partitions:
            yield from letters.letters(queue.client, where, name, part=part)


def _chosen(queue: View, group: str, ids: Sequence[str]) -> Iterator[DeadLetter]:
    """Those with the ids, or all, by their ids alone; the same id may stand in several partitions."""
    if not ids:
        yield from _all(queue, [group], IDS)
    for entry_id in ids:
        found = [
            letter
            for where in queue.partitions
            for letter in letters.letters(queue.client, where, group, only=entry_id, part=IDS)
        ]
        if not found:
            click.echo(f"{entry_id}: there is no such dead letter (any more)", err=True)
        yield from found


def _fail_without_group(letter: DeadLetter, done: Counter[str]) -> None:
    before = sum(done.values())
    common.fail(
        f"the group {letter.group!r} no longer exists in {letter.where.messages}; "
        f"{before} given back before. Make it again, or drop its dead letters"
    )


def _tell(count: int, what: str, ids: Sequence[str]) -> None:
    click.echo(f"{text.counted(count, 'dead letter')} {what}.")
    if count < len(set(ids)):
        raise click.exceptions.Exit(common.FAILED)
