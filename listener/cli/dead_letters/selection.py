"""Which dead letters a command means: the options that say so, and the letters that they choose."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import click

from listener import times
from listener.cli import click_options, common, queue_access
from listener.inspection import dead_letters
from listener.inspection.dead_letters import ALL, SUMMARY, DeadLetter, LetterFilter
from listener.inspection.entries import MIN_PAGE_BYTES
from listener.inspection.pages import IDS_ONLY, Projection
from listener.inspection.queue_view import QueueView
from listener.queue.keys import Partition

CHOICES = "--all, --kind, --error, --since or --limit"

error_option = click.option(
    "--error",
    metavar="TEXT",
    callback=click_options.read_text,
    help="Only those whose error contains TEXT, in any letter case, or whose reason is TEXT. # stands for "
    "the numbers and ids that `list --by error` shows so.",
)


@dataclass(frozen=True)
class Selection:
    """The dead letters a command works on: named by id, or those that pass a filter."""

    entry_ids: tuple[str, ...]
    every: bool
    kinds: tuple[str, ...]
    error: str | None
    since: str | None
    limit: int | None
    partition: int | None

    def __post_init__(self) -> None:
        """Raises UsageError unless either ids or a choice are given."""
        options = (self.error, self.since, self.limit)
        chosen = self.every or bool(self.kinds) or any(it is not None for it in options)
        common.check_ids_or_all(self.entry_ids, chosen, choices=CHOICES)

    @property
    def is_asked_about(self) -> bool:
        """Whether the command asks before it works: nobody has named each letter."""
        return not self.entry_ids

    def choose(self, queue: QueueView, group: str) -> list[tuple[Partition, str]]:
        """Where the letters are, and their ids; names on standard error an id that is not there.

        Without the letters themselves, whose number is unbounded.

        Raises:
            UsageError: several partitions have a letter of a named id, or there is no such partition.
        """
        places = queue_access.chosen_partitions(queue, self.partition)
        if not self.entry_ids:
            wanted = read_filter(queue, self.kinds, self.error, self.since)
            projection = SUMMARY if wanted else IDS_ONLY
            letters = read_all(queue, [group], projection, wanted=wanted, partitions=places)
        else:
            letters = self._named(queue, group, places)
        return [(it.partition, it.entry_id) for it in islice(letters, self.limit)]

    def _named(
        self, queue: QueueView, group: str, places: Sequence[Partition]
    ) -> Iterator[DeadLetter]:
        for entry_id in self.entry_ids:
            letters = list(read_all(queue, [group], IDS_ONLY, only=entry_id, partitions=places))
            queue_access.check_one_partition(
                [it.partition for it in letters], f"a dead letter {entry_id}"
            )
            if not letters:
                click.echo(f"{entry_id}: there is no such dead letter (any more)", err=True)
            yield from letters


selecting = click_options.selecting(
    click_options.required_group, click_options.partition, click_options.kinds, error_option
)


def resolve_groups(queue: QueueView, wanted: str | None) -> list[str]:
    """The groups to look at, including destroyed groups that left dead letters.

    Raises UsageError for a group that neither exists nor has dead letters.
    """
    if wanted is None:
        return dead_letters.groups_with_dead_letters(queue.client, queue.partitions)
    if not any(queue.client.exists(partition.dead(wanted)) for partition in queue.partitions):
        return queue_access.resolve_groups(queue, wanted)
    return [wanted]


def read_filter(
    queue: QueueView, kinds: tuple[str, ...], error: str | None, since: str | None
) -> LetterFilter:
    """The filter of the options. Raises UsageError for a time that is none."""
    first = "-"
    if since is not None:
        first = common.resolve_time_option(times.first_id, since, queue.now(), "--since")
    return LetterFilter(kinds, error or "", first)


def read_all(
    queue: QueueView,
    groups: Sequence[str],
    projection: Projection,
    *,
    only: str | None = None,
    wanted: LetterFilter = ALL,
    partitions: Sequence[Partition] = (),
) -> Iterator[DeadLetter]:
    """The letters of some groups that pass a filter, group by group, the oldest first. Raises redis.RedisError.

    Args:
        queue: where to read.
        groups: whose letters.
        projection: what to read of each.
        only: the id of the only letter that is wanted.
        wanted: the filter.
        partitions: where to read; empty: in all.
    """
    client, partitions = queue.client, partitions or queue.partitions
    max_bytes = max(projection.max_bytes // len(partitions), MIN_PAGE_BYTES)
    page = replace(projection, max_bytes=max_bytes)
    for group in groups:
        letters = (
            dead_letters.read_dead_letters(
                client, partition, group, only=only, first=wanted.first, projection=page
            )
            for partition in partitions
        )
        in_order = heapq.merge(*letters, key=lambda letter: letter.entry.order)
        yield from filter(wanted.matches, in_order)
