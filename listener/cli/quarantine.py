"""`quarantine`: lists, shows, replays and deletes what was refused from authenticated senders."""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import click

from listener.cli import click_options, common, queue_access
from listener.cli.render.tables import Table
from listener.errors import RefusalError
from listener.inspection.pages import ALL_FIELDS, IDS_ONLY, Projection
from listener.inspection.quarantined_messages import (
    SUMMARY,
    QuarantinedMessage,
    delete_quarantined,
    read_quarantine,
)
from listener.inspection.queue_view import QueueView
from listener.queue.writer import RedisWriter
from listener.settings.settings import Settings
from listener.text import clean, counted, json_line, truncate
from listener.times import format_time_text

BEGINNING_LENGTH = 70


@click.group(
    epilog="Example: python -m listener quarantine list",
)
def quarantine() -> None:
    """Look at, replay or drop what was refused although its sender proved itself."""


@quarantine.command("list", epilog="Example: python -m listener quarantine list --json")
@click_options.limit
@click_options.as_json
def list_(*, limit: int | None, as_json: bool) -> None:
    """List what is in the quarantine, the oldest first."""
    with queue_access.open_queue() as queue:
        messages = read_quarantine(queue.client, queue.partitions[0], projection=SUMMARY)
        if not common.print_list(messages, limit, as_json, _summary, _print_table):
            queue_access.warn_no_stream(queue)


@quarantine.command(epilog="Example: python -m listener quarantine show 1795397513221-0")
@click.argument("entry_id", metavar="ID")
@click_options.as_json
def show(*, entry_id: str, as_json: bool) -> None:
    """Show one whole."""
    common.check_ids([entry_id])
    with queue_access.open_queue() as queue:
        message = next(read_quarantine(queue.client, queue.partitions[0], only=entry_id), None)
    if message is None:
        common.fail(f"nothing in the quarantine is {entry_id}")
    whole = {**_data(message), "data": message.data}
    click.echo(json_line(whole) if as_json else _text(message))


@quarantine.command(
    short_help="Validate again, and queue what passes.",
    epilog="Example: python -m listener quarantine replay --all",
)
@click.argument("entry_ids", metavar="[ID]...", nargs=-1)
@click_options.every
def replay(*, entry_ids: tuple[str, ...], every: bool) -> None:
    """Validate again, by the settings of now, and put into the queue what passes.

    What passes leaves the quarantine; it keeps the time at which it arrived, and counts as a
    duplicate where the same message was received meanwhile. So mend THINGSPACE_ACCOUNTS first, for
    instance, and then replay. What is still refused stays; the exit status is then 1.
    """
    common.check_ids_or_all(entry_ids, every)
    settings = common.read_all_settings()
    with queue_access.open_queue() as queue, closing(RedisWriter(settings)) as writer:
        replayed = [
            message is not None and _replay(queue, writer, message, settings)
            for message in _chosen(queue, entry_ids, ALL_FIELDS)
        ]
    if not all(replayed):
        raise click.exceptions.Exit(common.EXIT_FAILURE)


@quarantine.command(epilog="Example: python -m listener quarantine drop 1795397513221-0 --yes")
@click.argument("entry_ids", metavar="[ID]...", nargs=-1)
@click_options.every
@click_options.yes
def drop(*, entry_ids: tuple[str, ...], every: bool, yes: bool) -> None:
    """Delete for good."""
    common.check_ids_or_all(entry_ids, every)
    with queue_access.open_queue() as queue:
        # Without the messages themselves: their number is unbounded.
        ids = [message and message.entry_id for message in _chosen(queue, entry_ids, IDS_ONLY)]
        existing = [entry_id for entry_id in ids if entry_id]
        if existing:
            common.confirm(f"Delete {counted(len(existing), 'refused message')} for good?", yes)
        partition = queue.partitions[0]
        dropped = sum(delete_quarantined(queue.client, partition, each) for each in existing)
    click.echo(f"{dropped} dropped.")
    if dropped < len(ids):
        raise click.exceptions.Exit(common.EXIT_FAILURE)


def _chosen(
    queue: QueueView, ids: Sequence[str], projection: Projection
) -> Iterator[QuarantinedMessage | None]:
    """The messages with these ids, or all that are there now; None for an id that is not there."""
    client, partition = queue.client, queue.partitions[0]
    if not ids:
        yield from read_quarantine(client, partition, projection=projection)
    for entry_id in ids:
        matches = read_quarantine(client, partition, only=entry_id, projection=projection)
        message = next(matches, None)
        if message is None:
            click.echo(f"{entry_id}: nothing in the quarantine is this", err=True)
        yield message


def _replay(
    queue: QueueView, writer: RedisWriter, quarantined: QuarantinedMessage, settings: Settings
) -> bool:
    entry_id = quarantined.entry_id
    try:
        message = quarantined.message(settings)
    except RefusalError as refusal:
        because = f"{refusal.reason}: {refusal.detail}" if refusal.detail else refusal.reason
        click.echo(clean(f"{entry_id}: still refused, {because}"), err=True)
        return False
    receipt = writer.put(message)
    delete_quarantined(queue.client, queue.partitions[0], entry_id)
    how = "is in the queue already, as" if receipt.duplicate else "is in the queue as"
    click.echo(f"{entry_id}: {how} {receipt.entry_id} ({message.kind})")
    return True


def _data(message: QuarantinedMessage) -> dict[str, Any]:
    return {
        "entry": message.entry_id,
        "time": message.time,
        "reason": message.reason,
        "bytes": message.bytes,
    }


def _summary(message: QuarantinedMessage) -> dict[str, Any]:
    """A line of `list --json`."""
    return {**_data(message), "begins": message.data[:BEGINNING_LENGTH]}


def _print_table(messages: Sequence[QuarantinedMessage]) -> None:
    if not messages:
        click.echo("The quarantine is empty.")
        return
    table = Table(
        ("id", "arrived", "reason", "bytes", "begins"),
        right_aligned=("bytes",), prose=("begins",), once=("reason",),
    )  # fmt: skip
    for message in messages:
        arrived = format_time_text(message.time)
        begins = truncate(message.data, BEGINNING_LENGTH)
        table.add_row(message.entry_id, arrived, message.reason, message.bytes, begins)
    table.print()


def _text(message: QuarantinedMessage) -> str:
    """The whole message, for people."""
    try:
        data = json.dumps(json.loads(message.data), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        data = message.data
    facts = {"entry": message.entry_id, "arrived": message.time, "reason": message.reason}
    lines = [f"{name:<8} {clean(value)}" for name, value in facts.items()]
    return "\n".join([*lines, "", *(clean(line) for line in data.splitlines())])
