"""`export`: messages into a file."""

import csv
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from listener import entry_ids, text, times
from listener.cli import common, options
from listener.cli import output as files
from listener.cli.render import csv_rows
from listener.cli.tail import is_wanted
from listener.inspection import entry_text
from listener.inspection.entries import Entry, entries, newest_first
from listener.inspection.pages import IDS
from listener.inspection.view import View

# How often the progress is told.
STEP = 500


@click.command(
    short_help="Write messages into a file.",
    epilog="Example: python -m listener export --from 7d --kind upgrade-finished --format csv "
    "--output upgrades.csv",
)
@click.option(
    "--from",
    "start",
    default="start",
    metavar="TIME|ID",
    show_default=True,
    help="The first: `start`, a time such as 2026-11-23T08:00 (UTC), so long ago as 2h, or an id.",
)
@click.option(
    "--to", "end", default="now", metavar="TIME|ID", show_default=True, help="The last, likewise."
)
@options.kinds
@options.accounts
@click.option(
    "--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format jsonl.")
@files.output
@files.force
def export(
    *,
    start: str,
    end: str,
    kinds: tuple[str, ...],
    account: str | None,
    form: str,
    as_json: bool,
    output: Path | None,
    force: bool,
) -> None:
    """Write messages into a file, by the time at which they came into the queue.

    The CSV's columns are entry, partition, time, kind, account, subject, id, type, source, requestid
    and data (JSON). No cell is a formula to a spreadsheet, whatever its separator: a sign
    that could begin one gets a ' in front, and in data stands as an escape of JSON.
    """
    if as_json and form == "csv":
        raise click.UsageError("--json and --format csv exclude each other")
    output = files.checked(output, force)
    with common.opened() as queue:
        now = queue.now()
        first = common.place(times.first_id, start, now, "--from")
        last = common.place(times.last_id, end, now, "--to")
        with files.opened(output) as file, _progress(output) as progress:
            found = entries(queue.client, queue.partitions, first=first, last=last)
            shown = _shown(found, progress, *_span(queue, first, last))
            wanted = (entry for entry in shown if is_wanted(entry, kinds, account, None))
            count = _write(file, wanted, form)
    if output:
        click.echo(f"{text.counted(count, 'message')} written to {output}", err=True)


def _write(file: IO[str], entries: Iterator[Entry], form: str) -> int:
    count = 0
    rows = csv.writer(file, lineterminator="\n")
    if form == "csv":
        rows.writerow(csv_rows.COLUMNS)
    for count, entry in enumerate(entries, start=1):  # noqa: B007 (the last count is the result)
        if form == "csv":
            rows.writerow(csv_rows.cells(entry))
        else:
            file.write(f"{entry_text.event_json(entry)}\n")
    return count


@contextmanager
def _progress(output: Path | None) -> Iterator[Progress]:
    """On standard error, if that is a terminal and the messages do not go there as well."""
    console = Console(stderr=True)
    busy = output is None and sys.stdout.isatty()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[read]} messages read"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=busy or not console.is_terminal) as progress:
        yield progress


def _span(queue: View, first: str, last: str) -> tuple[int, int]:
    """The times, in ms, between which there are messages."""
    one = replace(IDS, entries=1)
    where = (queue.client, queue.partitions)
    with_first = next(entries(*where, first=first, last=last, part=one), None)
    with_last = next(newest_first(*where, first=first, last=last, part=one), None)
    if with_first is None or with_last is None:
        return 0, 0
    return entry_ids.parse(with_first.entry_id)[0], entry_ids.parse(with_last.entry_id)[0]


def _shown(entries: Iterator[Entry], progress: Progress, began: int, ends: int) -> Iterator[Entry]:
    """Passes entries on and shows how far they are: by their time, as nobody knows their number."""
    task = progress.add_task("export", total=max(ends - began, 1), read=0)
    count, at = 0, began
    for count, entry in enumerate(entries, start=1):
        yield entry
        at = entry.order[0]
        if count % STEP == 0:
            progress.update(task, completed=at - began, read=count)
    progress.update(task, completed=max(ends - began, 1), read=count)
