"""`tail`: messages as they arrive."""

from collections import deque
from collections.abc import Callable, Iterator

import click

from listener import entry_ids, times
from listener.cli import common, options
from listener.inspection import entries, entry_text
from listener.inspection.entries import Entry
from listener.inspection.pages import MOST_BYTES_READ, Part
from listener.inspection.view import View

BLOCK_MS = 250

# What `is_wanted` looks at.
DECIDING = Part(("kind", "account", "subject"), bytes=MOST_BYTES_READ)

Wanted = Callable[[Entry], bool]


@click.command(
    short_help="Print messages as they arrive.",
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
@options.kinds
@options.accounts
@click.option(
    "--upgrade", metavar="ID", help="Only messages of this upgrade; its beginning will do."
)
@options.as_json
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
    show = entry_text.event_json if as_json else entry_text.event_text
    with common.opened() as queue:
        now = queue.now()
        first = common.place(times.first_id, "now" if start is None else start, now, "--from")

        def wanted(entry: Entry) -> bool:
            return is_wanted(entry, kinds, account, upgrade)

        try:
            for entry in _entries(queue, first, last, wanted, follow=not no_follow):
                click.echo(show(entry))
        except KeyboardInterrupt:
            # Ctrl-C is how one ends it, not a failure, also while nobody reads what it prints.
            common.discard_output()


def is_wanted(
    entry: Entry, kinds: tuple[str, ...], account: str | None, upgrade: str | None
) -> bool:
    """Whether an entry passes the filters; one that is not set lets everything pass."""
    fields = entry.fields
    return (
        (not kinds or fields.get("kind") in kinds)
        and (account is None or fields.get("account") == account)
        and (upgrade is None or fields.get("subject", "").startswith(upgrade))
    )


def _entries(
    queue: View, first: str, last: int | None, wanted: Wanted, *, follow: bool
) -> Iterator[Entry]:
    """What is there, by time, and then what arrives."""
    newest = entries.newest_ids(queue.client, queue.partitions)
    kept = _last(queue, last, wanted) if last else _kept(queue, first, newest)
    yield from filter(wanted, kept)
    if not follow:
        return
    # A beginning in the future is waited for.
    begin = {
        stream: max(
            seen,
            entry_ids.FIRST if last or first == entry_ids.LAST else entry_ids.predecessor(first),
            key=entry_ids.parse,
        )
        for stream, seen in newest.items()
    }
    arriving = entries.follow(queue.client, queue.partitions, start=begin, block_ms=BLOCK_MS)
    yield from (entry for entry in arriving if entry and wanted(entry))


def _kept(queue: View, first: str, newest: dict[str, str]) -> Iterator[Entry]:
    """Nothing beyond `newest`: that is followed, and would be printed twice."""
    bound = {where.number: entry_ids.parse(newest[where.messages]) for where in queue.partitions}
    for entry in entries.entries(queue.client, queue.partitions, first=first):
        if entry.order[:2] <= bound[entry.partition]:
            yield entry


def _last(queue: View, most: int, wanted: Wanted) -> Iterator[Entry]:
    """Finds the ids from the end, and reads the entries one by one as they are printed."""
    found: deque[Entry] = deque()
    for entry in entries.newest_first(queue.client, queue.partitions, part=DECIDING):
        if wanted(entry):
            found.appendleft(entry)
            if len(found) == most:
                break
    for entry in found:
        where = [queue.partitions[entry.partition]]
        here = entry.entry_id
        yield from entries.entries(queue.client, where, first=here, last=here)
