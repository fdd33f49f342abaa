"""`tail`: prints messages as they arrive, without consuming them."""

from collections.abc import Callable, Iterator
from itertools import islice

import click

from listener import entry_ids, times
from listener.cli import click_options, command_group, common, queue_access
from listener.inspection import entries
from listener.inspection.entry_text import event_json, event_text
from listener.inspection.pages import MAX_SCANNED_BYTES, Projection
from listener.inspection.queue_view import QueueView
from listener.inspection.stream_entry import StreamEntry

BLOCK_MS = 250

# The fields that `is_wanted` reads.
FILTERED_FIELDS = Projection(("kind", "account", "subject"), max_bytes=MAX_SCANNED_BYTES)

Wanted = Callable[[StreamEntry], bool]


@click.command(
    epilog="Example: python -m listener tail --from 2h --kind upgrade-finished --json",
)
@click.option(
    "--from",
    "start",
    metavar="TIME|ID",
    help="Where to begin: `now`, `start` (the oldest there is), a time such as 2026-11-23T08:00 "
    "(UTC), so long ago as 30m, 2h or 7d, or an entry id.  [default: now]",
)
@click.option(
    "-n", "--last", type=click.IntRange(1), metavar="N", help="Begin with the last N messages."
)
@click.option("--no-follow", is_flag=True, help="Stop after the newest message there is.")
@click_options.kinds
@click_options.account
@click.option(
    "--upgrade", metavar="ID", help="Only messages of this upgrade; its beginning will do."
)
@click_options.as_json
def tail(
    *,
    start: str | None,
    last: int | None,
    no_follow: bool,
    kinds: tuple[str, ...],
    account: str | None,
    upgrade: str | None,
    as_json: bool,
) -> None:
    """Print messages as they arrive, until Ctrl-C. Takes nothing away from any consumer."""
    if start is not None and last:
        raise click.UsageError("--from and --last exclude each other")
    show = event_json if as_json else event_text
    with queue_access.open_queue() as queue:
        now = queue.now()
        first = common.resolve_time_option(
            times.first_id, "now" if start is None else start, now, "--from"
        )

        def wanted(entry: StreamEntry) -> bool:
            return is_wanted(entry, kinds, account, upgrade)

        try:
            for entry in _entries(queue, first, last, wanted, follow=not no_follow):
                click.echo(show(entry))
        except KeyboardInterrupt:
            # Ctrl-C ends it regularly, also while the reader of the output has stopped reading.
            command_group.discard_output()


def is_wanted(
    entry: StreamEntry, kinds: tuple[str, ...], account: str | None, upgrade: str | None
) -> bool:
    """Whether an entry passes the filters that are set."""
    fields = entry.fields
    return (
        (not kinds or fields.get("kind") in kinds)
        and (account is None or fields.get("account") == account)
        and (upgrade is None or fields.get("subject", "").startswith(upgrade))
    )


def _entries(
    queue: QueueView, first: str, last: int | None, wanted: Wanted, *, follow: bool
) -> Iterator[StreamEntry]:
    """The entries that are there, by time, and then those that arrive."""
    newest = entries.newest_ids(queue.client, queue.partitions)
    existing = _last(queue, last, wanted) if last else _existing(queue, first, newest)
    yield from filter(wanted, existing)
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
    yield from (entry for entry in arriving if entry and wanted(entry))


def _existing(queue: QueueView, first: str, newest: dict[str, str]) -> Iterator[StreamEntry]:
    """The entries up to `newest`: later ones are followed, and would be printed twice."""
    ends = {it.number: entry_ids.parse(newest[it.messages]) for it in queue.partitions}
    for entry in entries.oldest_first(queue.client, queue.partitions, first=first):
        if entry.order[:2] <= ends[entry.partition]:
            yield entry


def _last(queue: QueueView, limit: int, wanted: Wanted) -> Iterator[StreamEntry]:
    """The last entries that pass: finds their ids from the end, then reads one whole entry at a time."""
    newest = entries.newest_first(queue.client, queue.partitions, projection=FILTERED_FIELDS)
    for entry in reversed(list(islice(filter(wanted, newest), limit))):
        partition, entry_id = queue.partitions[entry.partition], entry.entry_id
        yield from entries.oldest_first(queue.client, [partition], first=entry_id, last=entry_id)
