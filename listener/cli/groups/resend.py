"""`resend`: gives messages to one consumer group once more."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice

import click

from listener import entry_ids, times
from listener.cli import click_options, common, queue_access
from listener.inspection.entry_filter import DeviceId, EntryFilter
from listener.inspection.group_changes import resending
from listener.inspection.group_changes.resending import Resent
from listener.inspection.queue_view import QueueView
from listener.queue.keys import Partition
from listener.text import clean, counted, json_line

Chosen = tuple[Partition, str]


@click.command(epilog="Example: python -m listener resend 1795397513221-0 --group billing")
@click.argument("entry_ids_", metavar="[ENTRY]...", nargs=-1, callback=click_options.read_ids)
@click_options.required_group
@click_options.upgrade
@click_options.device
@click_options.kinds
@click_options.account
@click.option(
    "--from",
    "--since",
    "start",
    metavar="TIME|ID",
    callback=click_options.read_text,
    help="The first: a time such as 2026-11-23T08:00 (UTC), an age such as 2h, or an id.",
)
@click.option(
    "--to",
    "end",
    metavar="TIME|ID",
    callback=click_options.read_text,
    help="The last.  [default: now]",
)
@click_options.partition
@click_options.at_most
@click_options.dry_run
@click_options.yes
@click_options.as_json
def resend(
    *,
    entry_ids_: tuple[str, ...],
    group: str,
    upgrade: str | None,
    device: DeviceId | None,
    kinds: tuple[str, ...],
    account: str | None,
    start: str | None,
    end: str | None,
    partition: int | None,
    limit: int | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Give messages to one consumer group once more, whose consumers take them over within seconds.

    The group's cursor stays where it is, and no other group notices. What is pending already, or was
    not read yet, is left alone: the group gets it anyway. Its handlers must bear a repetition. A dead
    letter of the message stays: `dead requeue` gives it back and removes it.
    """
    wanted = EntryFilter(kinds, account, upgrade, device=device)
    has_range = bool(wanted) or start is not None or end is not None
    if bool(entry_ids_) == has_range:
        raise click.UsageError(
            "name the entries, or choose them by --upgrade, --device, --kind, --account, --from or --to"
        )
    common.check_ids(entry_ids_)
    with queue_access.open_queue() as queue:
        queue_access.resolve_groups(queue, group)
        places = queue_access.chosen_partitions(queue, partition)
        if entry_ids_:
            chosen = [each for entry_id in entry_ids_ for each in _named(queue, places, entry_id)]
        else:
            chosen = list(islice(_found(queue, places, wanted, start, end), limit))
            if chosen and not dry_run:
                question = f"Give {counted(len(chosen), 'message')} to {group} again?"
                common.confirm(clean(question), yes)
        results = Counter[str]()
        for place, entry_id in chosen:
            done = resending.resend(queue.client, place, group, entry_id, dry_run=dry_run)
            results[done.result] += 1
            # What was found is a result like another; what was named and is not given again is an error.
            _print(done, group, dry_run=dry_run, as_json=as_json, err=bool(entry_ids_))
    if not as_json:
        _print_sum(results, group, dry_run=dry_run)
    if entry_ids_ and results["again"] < len(entry_ids_):
        raise click.exceptions.Exit(common.EXIT_FAILURE)


def _found(
    queue: QueueView,
    partitions: Sequence[Partition],
    wanted: EntryFilter,
    start: str | None,
    end: str | None,
) -> Iterable[Chosen]:
    """What passes the filter between two times or ids, the oldest first. Raises UsageError."""
    now = queue.now()
    first = common.resolve_time_option(times.first_id, start or "start", now, "--from")
    last = common.resolve_time_option(times.last_id, end or "now", now, "--to")
    return resending.find(queue.client, partitions, wanted, first=first, last=last)


def _named(queue: QueueView, partitions: Sequence[Partition], entry_id: str) -> list[Chosen]:
    """Where an entry is; the first partition if nowhere, so that the step itself says so.

    Raises UsageError if several partitions have the id.
    """
    if max(entry_ids.parse(entry_id)) > entry_ids.MAX_PART:
        raise click.BadParameter(f"{entry_id} is beyond every entry", param_hint="ENTRY")
    places = resending.partitions_with(queue.client, partitions, entry_id)
    queue_access.check_one_partition(places, f"an entry {entry_id}")
    return [((places or partitions)[0], entry_id)]


def _print(done: Resent, group: str, *, dry_run: bool, as_json: bool, err: bool) -> None:
    if as_json:
        data = {"entry": done.entry_id, "partition": done.partition.number, "group": group}
        click.echo(json_line({**data, "result": done.result, "dry_run": dry_run}))
        return
    sentence = {
        "again": f"{'would be' if dry_run else 'is'} pending again",
        "pending": f"is pending already, with {done.consumer} ({_deliveries(done)})",
        "unread": "was not read by the group yet, which will get it",
        "gone": "is not in the stream (any more)",
        "no-group": f"the group does not exist in partition {done.partition.number}",
    }[done.result]
    click.echo(clean(f"{done.entry_id}: {sentence}"), err=err and done.result != "again")


def _deliveries(done: Resent) -> str:
    return counted(done.deliveries, "delivery").replace("deliverys", "deliveries")


def _print_sum(results: Counter[str], group: str, *, dry_run: bool) -> None:
    given = counted(results["again"], "message")
    click.echo(clean(f"{given} {'would be ' if dry_run else ''}given to {group} again."))
    if dry_run:
        click.echo("Nothing was changed.")
