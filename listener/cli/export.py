"""`export`: writes messages into a file, as lines of JSON or as CSV."""

import csv
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import click

from listener import times
from listener.cli import click_options, common, queue_access
from listener.cli.render import csv_rows
from listener.inspection.entries import newest_first, oldest_first
from listener.inspection.entry_filter import DeviceId, EntryFilter
from listener.inspection.entry_text import event_json
from listener.inspection.pages import IDS_ONLY
from listener.inspection.queue_view import QueueView
from listener.inspection.stream_entry import StreamEntry
from listener.text import counted

# The progress is updated after this many entries.
PROGRESS_STEP = 500

Advance = Callable[[int, int], None]
"""Takes the time up to which messages were read, in ms from the first one, and how many were read."""


@click.command(
    epilog="Example: python -m listener export --from 7d --kind upgrade-finished --format csv "
    "--output upgrades.csv",
)
@click.option(
    "--from",
    "--since",
    "start",
    default="start",
    metavar="TIME|ID",
    show_default=True,
    help="The first: `start`, a time such as 2026-11-23T08:00 (UTC), an age such as 2h, or an id.",
)
@click.option(
    "--to", "end", default="now", metavar="TIME|ID", show_default=True, help="The last, likewise."
)
@click_options.kinds
@click_options.account
@click_options.upgrade
@click_options.device
@click.option(
    "--format", "format_", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format jsonl.")
@click_options.output
@click_options.force
def export(
    *,
    start: str,
    end: str,
    kinds: tuple[str, ...],
    account: str | None,
    upgrade: str | None,
    device: DeviceId | None,
    format_: str,
    as_json: bool,
    output: Path | None,
    force: bool,
) -> None:
    """Write messages into a file, by the time at which they came into the queue.

    The CSV's columns are entry, partition, time, kind, account, subject, id, type, source, requestid,
    origin, basis and data (JSON). No cell is a formula to a spreadsheet, whatever its separator: a sign
    that could begin one gets a ' in front, and in data stands as an escape of JSON.
    """
    if as_json and format_ == "csv":
        raise click.UsageError("--json and --format csv exclude each other")
    path = click_options.output_path(output, force)
    chosen = EntryFilter(kinds, account, upgrade, device=device)
    with queue_access.open_queue() as queue:
        queue_access.warn_no_stream(queue)
        now = queue.now()
        first = common.resolve_time_option(times.first_id, start, now, "--from")
        last = common.resolve_time_option(times.last_id, end, now, "--to")
        with click_options.open_output(path) as file:
            start_ms, end_ms = _time_span(queue, first, last)
            with _progress_bar(path, max(end_ms - start_ms, 1)) as advance:
                entries = oldest_first(queue.client, queue.partitions, first=first, last=last)
                read = _advancing(entries, advance, start_ms, end_ms)
                count = _write(file, filter(chosen.matches, read), format_)
    if path:
        click.echo(f"{counted(count, 'message')} written to {path}", err=True)


def _write(file: IO[str], entries: Iterator[StreamEntry], format_: str) -> int:
    count = 0
    rows = csv.writer(file, lineterminator="\n")
    if format_ == "csv":
        rows.writerow(csv_rows.COLUMNS)
    for count, entry in enumerate(entries, start=1):  # noqa: B007 (the last count is the result)
        if format_ == "csv":
            rows.writerow(csv_rows.cells(entry))
        else:
            file.write(f"{event_json(entry)}\n")
    return count


@contextmanager
def _progress_bar(path: Path | None, total_ms: int) -> Iterator[Advance]:
    """A progress bar on standard error, if that is a terminal and the messages do not go there as well."""
    shares_terminal = path is None and sys.stdout.isatty()
    if shares_terminal or not sys.stderr.isatty():
        yield lambda _completed_ms, _read: None
        return
    from listener.cli.render import screen  # noqa: PLC0415 (see there)

    with screen.progress_bar("export", total_ms) as advance:
        yield advance


def _time_span(queue: QueueView, first: str, last: str) -> tuple[int, int]:
    """The times of the first and the last message between two ids, in ms."""
    projection = replace(IDS_ONLY, max_entries=1)
    options: dict[str, Any] = {"first": first, "last": last, "projection": projection}
    oldest = next(oldest_first(queue.client, queue.partitions, **options), None)
    newest = next(newest_first(queue.client, queue.partitions, **options), None)
    return (oldest.order[0], newest.order[0]) if oldest and newest else (0, 0)


def _advancing(
    entries: Iterator[StreamEntry], advance: Advance, start_ms: int, end_ms: int
) -> Iterator[StreamEntry]:
    """Passes entries on and shows the progress by their time, because their number is unknown."""
    count = 0
    for count, entry in enumerate(entries, start=1):
        yield entry
        if count % PROGRESS_STEP == 0:
            advance(entry.order[0] - start_ms, count)
    advance(max(end_ms - start_ms, 1), count)
