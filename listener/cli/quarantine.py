"""`quarantine`: what was refused from senders that proved themselves."""

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import click

from listener.cli import common, options
from listener.cli.render import tables
from listener.cli.render.tables import Screen
from listener.errors import RefusalError
from listener.inspection import quarantine as kept
from listener.inspection.pages import IDS, WHOLE, Part
from listener.inspection.quarantine import Refused
from listener.inspection.view import View
from listener.queue.writer import RedisWriter
from listener.settings.settings import Settings
from listener.text import clean, counted, json_line, truncate

SHORT = 70


@click.group(
    short_help="What was refused from proven senders.",
    epilog="Example: python -m listener quarantine list",
)
def quarantine() -> None:
    """Look at, replay or drop what was refused although its sender proved itself."""


@quarantine.command("list", epilog="Example: python -m listener quarantine list --json")
@options.limit
@options.as_json
def list_(*, limit: int | None, as_json: bool) -> None:
    """List what is in the quarantine, the oldest first."""
    with common.opened() as queue:
        found = kept.refused(queue.client, queue.partitions[0], part=kept.SHORT)
        if as_json:
            for one in islice(found, limit):
                click.echo(json_line(data(one)))
        else:
            most = limit or options.MOST_IN_A_TABLE
            some = list(islice(found, most + 1))
            _print(some[:most])
            common.tell_of_more(some, most)


@quarantine.command(epilog="Example: python -m listener quarantine show 1795397513221-0")
@click.argument("entry_id", metavar="ID")
@options.as_json
def show(*, entry_id: str, as_json: bool) -> None:
    """Show one whole."""
    common.check_ids([entry_id])
    with common.opened() as queue:
        found = list(kept.refused(queue.client, queue.partitions[0], only=entry_id))
    if not found:
        common.fail(f"nothing in the quarantine is {entry_id}")
    click.echo(json_line(data(found[0], whole=True)) if as_json else _text(found[0]))


@quarantine.command(
    short_help="Validate again, and queue what passes.",
    epilog="Example: python -m listener quarantine replay --all",
)
@click.argument("entry_ids", metavar="[ID]...", nargs=-1)
@options.every
def replay(*, entry_ids: tuple[str, ...], every: bool) -> None:
    """Validate again, by the settings of now, and put into the queue what passes.

    What passes leaves the quarantine; it keeps the time at which it arrived, and counts as a
    duplicate where the same message was received meanwhile. So mend THINGSPACE_ACCOUNTS first, for
    instance, and then replay. What is still refused stays; the exit status is then 1.
    """
    common.chosen_ids(entry_ids, every)
    failed = False
    settings = common.all_settings()
    with common.opened() as queue:
        writer = RedisWriter(settings)
        try:
            for one in _chosen(queue, entry_ids, WHOLE):
                failed |= one is None or not _replay(queue, writer, one, settings)
        finally:
            writer.close()
    if failed:
        raise click.exceptions.Exit(common.FAILED)


@quarantine.command(epilog="Example: python -m listener quarantine drop 1795397513221-0 --yes")
@click.argument("entry_ids", metavar="[ID]...", nargs=-1)
@options.every
@options.yes
def drop(*, entry_ids: tuple[str, ...], every: bool, yes: bool) -> None:
    """Delete for good."""
    common.chosen_ids(entry_ids, every)
    with common.opened() as queue:
        found = [one and one.entry_id for one in _chosen(queue, entry_ids, IDS)]
        there = [entry_id for entry_id in found if entry_id]
        if there:
            common.confirm(f"Delete {counted(len(there), 'refused message')} for good?", yes)
        where = queue.partitions[0]
        dropped = sum(kept.drop(queue.client, where, entry_id) for entry_id in there)
    click.echo(f"{dropped} dropped.")
    if dropped < len(found):
        raise click.exceptions.Exit(common.FAILED)


def data(one: Refused, *, whole: bool = False) -> dict[str, Any]:
    """One line of --json: the beginning of the data, or all of it."""
    told = {"entry": one.entry_id, "time": one.time, "reason": one.reason, "bytes": one.bytes}
    return {**told, "data": one.data} if whole else {**told, "begins": one.data[:SHORT]}


def _chosen(queue: View, ids: Sequence[str], part: Part) -> Iterator[Refused | None]:
    """Those with the ids, or all that are there now; None for one that is not there."""
    where = queue.partitions[0]
    if not ids:
        yield from kept.refused(queue.client, where, part=part)
    for entry_id in ids:
        found = next(kept.refused(queue.client, where, only=entry_id, part=part), None)
        if found is None:
            click.echo(f"{entry_id}: nothing in the quarantine is this", err=True)
        yield found


def _replay(queue: View, writer: RedisWriter, one: Refused, settings: Settings) -> bool:
    try:
        message = one.message(settings)
    except RefusalError as refusal:
        because = f"{refusal.reason}: {refusal.detail}" if refusal.detail else refusal.reason
        click.echo(clean(f"{one.entry_id}: still refused, {because}"), err=True)
        return False
    receipt = writer.put(message)
    kept.drop(queue.client, queue.partitions[0], one.entry_id)
    how = "is in the queue already, as" if receipt.duplicate else "is in the queue as"
    click.echo(f"{one.entry_id}: {how} {receipt.entry_id} ({message.kind})")
    return True


def _print(found: list[Refused]) -> None:
    if not found:
        click.echo("The quarantine is empty.")
        return
    made = tables.table(
        "id", "arrived", "reason", "bytes", "begins", right=("bytes",), whole=("id",)
    )
    for one in found:
        arrived = one.time[:19].replace("T", " ")
        tables.row(made, one.entry_id, arrived, one.reason, one.bytes, truncate(one.data, SHORT))
    Screen().print(made)


def _text(one: Refused) -> str:
    try:
        shown = json.dumps(json.loads(one.data), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        shown = one.data
    told = {"entry": one.entry_id, "arrived": one.time, "reason": one.reason}
    facts = [f"{name:<8} {clean(text)}" for name, text in told.items()]
    return "\n".join([*facts, "", *(clean(line) for line in shown.splitlines())])
