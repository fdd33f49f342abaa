"""`tail`: prints messages as they arrive, without consuming them."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import click

from listener import entry_ids, times
from listener.cli import click_options, command_group, common, queue_access
from listener.inspection import entries
from listener.inspection.entry_filter import DeviceId, EntryFilter
from listener.inspection.entry_text import event_json, event_text
from listener.inspection.pages import MAX_SCANNED_BYTES, Projection
from listener.inspection.queue_view import QueueView
from listener.inspection.stream_entry import StreamEntry
from listener.text import counted

BLOCK_MS = 250

SCANNED = Projection(max_bytes=MAX_SCANNED_BYTES)
"""Of the fields that a filter reads."""


@click.command(
    epilog="Example: python -m listener tail --device 990013907835573 --since 7d",
)
@click.option(
    "--from",
    "--since",
    "start",
    metavar="TIME|ID",
    help="Where to begin: `now`, `start` (the oldest there is), a time such as 2026-11-23T08:00 "
    "(UTC), an age such as 30m, 2h or 7d, or an entry id.  [default: now]",
)
@click.option(
    "-n", "--last", type=click.IntRange(1), metavar="N", help="Begin with the last N messages."
)
@click.option("--no-follow", is_flag=True, help="Stop after the newest message there is.")
@click_options.kinds
@click_options.account
@click_options.upgrade
@click_options.device
@click_options.as_json
def tail(
    *,
    start: str | None,
    last: int | None,
    no_follow: bool,
    kinds: tuple[str, ...],
    account: str | None,
    upgrade: str | None,
    device: DeviceId | None,
    as_json: bool,
) -> None:
    """Print messages as they arrive, until Ctrl-C. Takes nothing away from any consumer.

    Nothing is indexed by device or upgrade: from `start` on, every message that is kept is read.
    """
    if start is not None and last:
        raise click.UsageError("--from and --last exclude each other")
    show = event_json if as_json else event_text
    wanted = EntryFilter(kinds, account, upgrade, device=device)
    with queue_access.open_queue() as queue:
        queue_access.warn_no_stream(queue)
        now = queue.now()
        first = common.resolve_time_option(
            times.first_id, "now" if start is None else start, now, "--from"
        )
        read = _Read()
        try:
            for entry in _entries(queue, first, last, wanted, read, follow=not no_follow):
                click.echo(show(entry))
        except KeyboardInterrupt:
            # Ctrl-C ends it regularly, also while the reader of the output has stopped reading.
            command_group.discard_output()
        if wanted and read.entries and not read.passed:
            click.echo(f"None of {counted(read.entries, 'message')} passes the filters.", err=True)


class _Read:
    """How many messages were looked at, and how many passed the filters."""

    def __init__(self) -> None:
        self.entries = self.passed = 0

    def passing(self, wanted: EntryFilter, entries: Iterator[StreamEntry]) -> Iterator[StreamEntry]:
        """Those that pass."""
        for entry in entries:
            self.entries += 1
            if wanted.matches(entry):
                self.passed += 1
                yield entry


def _entries(
    queue: QueueView,
    first: str,
    last: int | None,
    wanted: EntryFilter,
    read: _Read,
    *,
    follow: bool,
) -> Iterator[StreamEntry]:
    """The entries that are there, by time, and then those that arrive."""
    newest = entries.newest_ids(queue.client, queue.partitions)
    if last:
        yield from _last(queue, last, wanted, read)
    else:
        yield from read.passing(wanted, _existing(queue, first, newest))
    if not follow:
        return
    from_the_end = last or first == entry_ids.LAST
    before_first = entry_ids.FIRST if from_the_end else entry_ids.predecessor(first)
    # A `first` in the future is waited for.
    start = {
        stream: max(newest_id, before_first, key=entry_ids.parse)
        for stream, newest_id in newest.items()
    }
    arriving = entries.follow(queue.client, queue.partitions, start=start, block_ms=BLOCK_MS)
    yield from read.passing(wanted, filter(None, arriving))


def _existing(queue: QueueView, first: str, newest: dict[str, str]) -> Iterator[StreamEntry]:
    """The entries up to `newest`: later ones are followed, and would be printed twice."""
    ends = {it.number: entry_ids.parse(newest[it.messages]) for it in queue.partitions}
    for entry in entries.oldest_first(queue.client, queue.partitions, first=first):
        if entry.order[:2] <= ends[entry.partition]:
            yield entry


def _last(queue: QueueView, limit: int, wanted: EntryFilter, read: _Read) -> Iterator[StreamEntry]:
    """The last entries that pass: finds their ids from the end, then reads one whole entry at a time."""
    newest = entries.newest_first(
        queue.client, queue.partitions, projection=replace(SCANNED, fields=wanted.fields)
    )
    found = [(it.partition, it.entry_id) for it in islice(read.passing(wanted, newest), limit)]
    for number, entry_id in reversed(found):
        partition = queue.partitions[number]
        yield from entries.oldest_first(queue.client, [partition], first=entry_id, last=entry_id)
