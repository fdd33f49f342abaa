"""`dead`: lists, shows, requeues and deletes dead letters."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import click

from listener.cli import click_options, common, queue_access
from listener.cli.render.tables import Table
from listener.inspection import dead_letters
from listener.inspection.dead_letters import SUMMARY, DeadLetter
from listener.inspection.entry_text import SHORT_ID_CHARS, data_of
from listener.inspection.pages import ALL_FIELDS, IDS_ONLY, Projection
from listener.inspection.queue_view import QueueView
from listener.text import clean, counted, json_line, truncate
from listener.times import format_time_text

MAX_ERROR_LENGTH = 60
"""In a table."""


@click.group(
    epilog="Example: python -m listener dead list --group billing",
)
def dead() -> None:
    """Look at, give back or drop what a consumer group gave up on."""


@dead.command("list", epilog="Example: python -m listener dead list --group billing --json")
@click_options.optional_group
@click_options.limit
@click_options.as_json
def list_(*, group: str | None, limit: int | None, as_json: bool) -> None:
    """List dead letters, group by group, the oldest first."""
    with queue_access.open_queue() as queue:
        letters = _all(queue, _groups(queue, group), SUMMARY)
        if not common.print_list(letters, limit, as_json, _summary, _print_table):
            queue_access.warn_no_stream(queue)


@dead.command(
    short_help="Show one whole.",
    epilog="Example: python -m listener dead show 1795397513221-0 --group billing",
)
@click.argument("entry_id", metavar="ID")
@click_options.optional_group
@click_options.as_json
def show(*, entry_id: str, group: str | None, as_json: bool) -> None:
    """Show all there is of a dead letter: the message, the error, the traceback."""
    common.check_ids([entry_id])
    with queue_access.open_queue() as queue:
        letters = list(_all(queue, _groups(queue, group), ALL_FIELDS, only=entry_id))
    if not letters:
        common.fail(f"there is no dead letter {entry_id}")
    for letter in letters:
        click.echo(json_line(_whole(letter)) if as_json else _text(letter))


@dead.command(
    short_help="Give dead letters back to their group.",
    epilog="Example: python -m listener dead requeue --group billing --all",
)
@click.argument("entry_ids", metavar="[ID]...", nargs=-1)
@click_options.required_group
@click_options.every
def requeue(*, entry_ids: tuple[str, ...], group: str, every: bool) -> None:
    """Give dead letters back to their group, whose consumers then take them over.

    Only this group gets them again, with their deliveries counted anew. If the original entry is no
    longer in the stream, the message is added as a new one, and every group gets it again.
    """
    common.check_ids_or_all(entry_ids, every)
    with queue_access.open_queue() as queue:
        _groups(queue, group)
        results = Counter[str]()
        for letter in _chosen(queue, group, entry_ids):
            result, entry_id = dead_letters.requeue(queue.client, letter)
            if result == "no-group":
                _fail_without_group(letter, results.total())
            results[result] += 1
            if result == "added":
                click.echo(f"{letter.entry_id}: added as {entry_id}: every group gets it again")
            elif result == "again":
                click.echo(f"{letter.entry_id}: {entry_id} is pending again")
            elif result == "empty":
                click.echo(
                    f"{letter.entry_id}: nothing of its message is left: only drop it", err=True
                )
    _end(results["again"] + results["added"], "given back", entry_ids)
    if results["empty"]:
        raise click.exceptions.Exit(common.EXIT_FAILURE)


@dead.command(epilog="Example: python -m listener dead drop 1795397513221-0 --group billing --yes")
@click.argument("entry_ids", metavar="[ID]...", nargs=-1)
@click_options.required_group
@click_options.every
@click_options.yes
def drop(*, entry_ids: tuple[str, ...], group: str, every: bool, yes: bool) -> None:
    """Delete dead letters for good."""
    common.check_ids_or_all(entry_ids, every)
    with queue_access.open_queue() as queue:
        _groups(queue, group)
        # Without the letters themselves: their number is unbounded.
        ids = [(letter.partition, letter.entry_id) for letter in _chosen(queue, group, entry_ids)]
        if ids:
            common.confirm(f"Delete {counted(len(ids), 'dead letter')} of {group} for good?", yes)
        dropped = sum(
            dead_letters.delete_dead_letter(queue.client, partition, group, entry_id)
            for partition, entry_id in ids
        )
    _end(dropped, "dropped", entry_ids)


def _groups(queue: QueueView, wanted: str | None) -> list[str]:
    """The groups to look at, including destroyed groups that left dead letters.

    Raises UsageError for a group that neither exists nor has dead letters.
    """
    if wanted is None:
        return dead_letters.groups_with_dead_letters(queue.client, queue.partitions)
    if not any(queue.client.exists(partition.dead(wanted)) for partition in queue.partitions):
        return queue_access.resolve_groups(queue, wanted)
    return [wanted]


def _all(
    queue: QueueView, groups: Sequence[str], projection: Projection, only: str | None = None
) -> Iterator[DeadLetter]:
    for group in groups:
        for partition in queue.partitions:
            yield from dead_letters.read_dead_letters(
                queue.client, partition, group, only=only, projection=projection
            )


def _chosen(queue: QueueView, group: str, ids: Sequence[str]) -> Iterator[DeadLetter]:
    """The letters with these ids, or all, without their fields; several partitions may have the same id."""
    if not ids:
        yield from _all(queue, [group], IDS_ONLY)
    for entry_id in ids:
        letters = list(_all(queue, [group], IDS_ONLY, only=entry_id))
        if not letters:
            click.echo(f"{entry_id}: there is no such dead letter (any more)", err=True)
        yield from letters


def _fail_without_group(letter: DeadLetter, before: int) -> None:
    common.fail(
        f"the group {letter.group!r} no longer exists in {letter.partition.messages}; "
        f"{before} given back before. Make it again, or drop its dead letters"
    )


def _end(count: int, done: str, ids: Sequence[str]) -> None:
    click.echo(f"{counted(count, 'dead letter')} {done}.")
    if count < len(set(ids)):
        raise click.exceptions.Exit(common.EXIT_FAILURE)


def _data(letter: DeadLetter) -> dict[str, Any]:
    deliveries = letter.field("deliveries")
    return {
        "dead": letter.entry_id,
        "group": letter.group,
        "partition": letter.partition.number,
        **{name: letter.field(name) for name in ("reason", "error", "consumer", "failed")},
        "deliveries": int(deliveries) if deliveries.isdecimal() else None,
        "entry": letter.field("entry"),
    }


def _summary(letter: DeadLetter) -> dict[str, Any]:
    """A line of `list --json`: neither the message's data nor the traceback."""
    message = letter.message
    return {
        **_data(letter),
        **{name: message.get(name) for name in ("kind", "account", "subject", "id")},
    }


def _whole(letter: DeadLetter) -> dict[str, Any]:
    """The line of `show --json`."""
    message = letter.message
    return {
        **_data(letter),
        "traceback": letter.field("traceback"),
        "message": {**message, "data": data_of(message)},
    }


def _print_table(letters: Sequence[DeadLetter]) -> None:
    if not letters:
        click.echo("There are no dead letters.")
        return
    table = Table(
        ("id", "failed", "group", "kind", "account", "upgrade", "reason", "error", "deliveries"),
        right_aligned=("deliveries",), prose=("error",),
        once=("group", "kind", "account", "upgrade", "reason", "error", "deliveries"),
    )  # fmt: skip
    for letter in letters:
        message = letter.message
        table.add_row(
            letter.entry_id,
            format_time_text(letter.field("failed")),
            letter.group,
            message.get("kind", "-"),
            message.get("account", "-"),
            message.get("subject", "-")[:SHORT_ID_CHARS],
            letter.field("reason"),
            truncate(letter.field("error"), MAX_ERROR_LENGTH),
            letter.field("deliveries"),
        )
    table.print()


def _text(letter: DeadLetter) -> str:
    """The whole letter, for people."""
    message = letter.message
    facts = {
        "dead letter": letter.entry_id,
        "group": letter.group,
        "stream": letter.partition.messages,
        **{
            name: letter.field(name)
            for name in ("reason", "error", "deliveries", "consumer", "failed", "entry")
        },
        **{name: value for name, value in message.items() if name != "data"},
    }
    width = max(map(len, facts))
    lines = [f"{clean(name):<{width}}  {clean(value)}" for name, value in facts.items()]
    data = json.dumps(data_of(message), indent=2, ensure_ascii=False)
    for title, block in (("data", data), ("traceback", letter.field("traceback"))):
        lines += ["", f"{title}:", *(f"  {clean(line)}" for line in block.splitlines())]
    return "\n".join(lines)
