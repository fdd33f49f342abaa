"""`quarantine`: lists, shows, replays and deletes what was refused from authenticated senders."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import click

from listener import times
from listener.cli import click_options, common, queue_access
from listener.cli.quarantined import quarantine_formats
from listener.errors import RefusalError
from listener.inspection.pages import IDS_ONLY, Projection
from listener.inspection.quarantined_messages import (
    SUMMARY,
    QuarantinedMessage,
    delete_quarantined,
    read_quarantine,
)
from listener.inspection.queue_view import QueueView
from listener.queue.writer import RedisWriter
from listener.settings.settings import Settings
from listener.text import clean, counted, json_line

REASON_ONLY = Projection(("reason",), max_value_bytes=1000)
EMPTY = "The quarantine is empty, or has nothing like that."
MESSAGES = common.Listing(quarantine_formats.summary, quarantine_formats.print_table, EMPTY)
REASONS = common.Listing(quarantine_formats.reason_data, quarantine_formats.print_reasons, EMPTY)
CHOICES = "--all, --reason, --since or --limit"

reason_option = click.option(
    "--reason",
    metavar="WORD",
    callback=click_options.read_text,
    help="Only what was refused for this reason.",
)


@dataclass(frozen=True)
class Selection:
    """The refused messages a command works on: named by id, or those that pass a filter."""

    entry_ids: tuple[str, ...]
    every: bool
    reason: str | None
    since: str | None
    limit: int | None

    def __post_init__(self) -> None:
        """Raises UsageError unless either ids or a choice are given."""
        options = (self.reason, self.since, self.limit)
        chosen = self.every or any(it is not None for it in options)
        common.check_ids_or_all(self.entry_ids, chosen, choices=CHOICES)

    def choose(self, queue: QueueView) -> list[str]:
        """The ids of the messages that are there; names on standard error an id that is not."""
        if not self.entry_ids:
            messages = _read(queue, self.reason, self.since, REASON_ONLY)
            return [message.entry_id for message in islice(messages, self.limit)]
        return [each for each in self.entry_ids if _is_there(queue, each)][: self.limit]


selecting = click_options.selecting(reason_option)


@click.group(
    epilog="Example: python -m listener quarantine list",
)
def quarantine() -> None:
    """Look at, replay or drop what was refused although its sender proved itself."""


@quarantine.command("list", epilog="Example: python -m listener quarantine list --by reason")
@reason_option
@click_options.since
@click.option(
    "--by", type=click.Choice(["reason"]), help="Count them by reason, the most frequent first."
)
@click_options.limit
@click_options.as_json
def list_(
    *,
    reason: str | None,
    since: str | None,
    by: Literal["reason"] | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """List what is in the quarantine, the oldest first."""
    with queue_access.open_queue() as queue:
        messages = _read(queue, reason, since, SUMMARY)
        if by:
            counts = quarantine_formats.count_by_reason(messages)
            is_any = common.print_list(counts, limit, as_json, REASONS)
        else:
            is_any = common.print_list(messages, limit, as_json, MESSAGES)
        if not is_any:
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
    click.echo(
        json_line(quarantine_formats.whole(message))
        if as_json
        else quarantine_formats.text(message)
    )


@quarantine.command(
    short_help="Validate again, and queue what passes.",
    epilog="Example: python -m listener quarantine replay --all --dry-run",
)
@selecting
def replay(*, dry_run: bool, yes: bool, **chosen: Any) -> None:
    """Validate again, by the settings of now, and put into the queue what passes.

    What passes leaves the quarantine; it keeps the time at which it arrived, and counts as a
    duplicate where the same message was received meanwhile. So mend THINGSPACE_ACCOUNTS first, for
    instance, and then replay. What is still refused stays; the exit status is then 1. Asks unless
    each message is named by its id.
    """
    selection = Selection(**chosen)
    settings = common.read_all_settings()
    with queue_access.open_queue() as queue, closing(RedisWriter(settings)) as writer:
        ids = selection.choose(queue)
        if ids and not selection.entry_ids and not dry_run:
            common.confirm(f"Replay {counted(len(ids), 'refused message')}?", yes)
        passed = [_replay(queue, None if dry_run else writer, each, settings) for each in ids]
    if dry_run:
        click.echo("Nothing was changed.")
    if not all(passed) or len(ids) < len(selection.entry_ids):
        raise click.exceptions.Exit(common.EXIT_FAILURE)


@quarantine.command(epilog="Example: python -m listener quarantine drop 1795397513221-0 --yes")
@selecting
def drop(*, dry_run: bool, yes: bool, **chosen: Any) -> None:
    """Delete for good."""
    selection = Selection(**chosen)
    with queue_access.open_queue() as queue:
        ids = selection.choose(queue)
        if dry_run:
            click.echo(f"{counted(len(ids), 'refused message')} would be dropped.")
            click.echo("Nothing was changed.")
            dropped = len(ids)
        else:
            if ids:
                common.confirm(f"Delete {counted(len(ids), 'refused message')} for good?", yes)
            partition = queue.partitions[0]
            dropped = sum(delete_quarantined(queue.client, partition, each) for each in ids)
            click.echo(f"{dropped} dropped.")
    if dropped < max(len(ids), len(selection.entry_ids)):
        raise click.exceptions.Exit(common.EXIT_FAILURE)


def _read(
    queue: QueueView, reason: str | None, since: str | None, projection: Projection
) -> Iterator[QuarantinedMessage]:
    """The messages that pass a filter. Raises UsageError for a time that is none."""
    first = "-"
    if since is not None:
        first = common.resolve_time_option(times.first_id, since, queue.now(), "--since")
    messages = read_quarantine(
        queue.client, queue.partitions[0], first=first, projection=projection
    )
    return (it for it in messages if reason is None or it.reason == reason)


def _is_there(queue: QueueView, entry_id: str) -> bool:
    matches = read_quarantine(queue.client, queue.partitions[0], only=entry_id, projection=IDS_ONLY)
    is_there = next(matches, None) is not None
    if not is_there:
        click.echo(f"{entry_id}: nothing in the quarantine is this", err=True)
    return is_there


def _replay(
    queue: QueueView, writer: RedisWriter | None, entry_id: str, settings: Settings
) -> bool:
    """Validates a message again, and queues it unless there is no writer; whether it passed."""
    partition = queue.partitions[0]
    quarantined = next(read_quarantine(queue.client, partition, only=entry_id), None)
    if quarantined is None:
        click.echo(f"{entry_id}: is gone meanwhile", err=True)
        return False
    try:
        message = quarantined.message(settings)
    except RefusalError as refusal:
        because = f"{refusal.reason}: {refusal.detail}" if refusal.detail else refusal.reason
        click.echo(clean(f"{entry_id}: still refused, {because}"), err=True)
        return False
    if writer is None:
        click.echo(f"{entry_id}: would be queued ({message.kind})")
        return True
    receipt = writer.put(message)
    delete_quarantined(queue.client, partition, entry_id)
    how = "is in the queue already, as" if receipt.duplicate else "is in the queue as"
    click.echo(f"{entry_id}: {how} {receipt.entry_id} ({message.kind})")
    return True
