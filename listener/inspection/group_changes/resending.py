"""Gives entries to one consumer group once more; `resend.lua` decides what becomes of each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import redis

from listener import entry_ids
from listener.inspection.consumer_groups import CLAIMABLE_AT_ONCE_MS, REQUEUED
from listener.inspection.entries import oldest_first
from listener.inspection.entry_filter import EntryFilter
from listener.inspection.pages import MAX_SCANNED_BYTES, Projection
from listener.queue.keys import Partition
from listener.redis_client.script import Script

ResendResult = Literal["again", "pending", "unread", "gone", "no-group"]

_RESEND = Script.load("listener.inspection", "resend.lua").text


@dataclass(frozen=True)
class Resent:
    """What became of an entry, as `resend.lua` describes it; `consumer` has it if it was pending already."""

    partition: Partition
    entry_id: str
    result: ResendResult
    consumer: str = ""
    deliveries: int = 0


def resend(
    client: "redis.Redis", partition: Partition, group: str, entry_id: str, *, dry_run: bool = False
) -> Resent:
    """Gives an entry to a group once more, in one step; the group's cursor stays where it is.

    Until a consumer takes it over, the entry is pending for `requeued`. A second call finds it
    pending and does nothing. Raises redis.RedisError.

    Args:
        client: one that decodes responses.
        partition: where the entry is.
        group: the only group that gets it.
        entry_id: both parts, in any spelling that Redis takes.
        dry_run: only say what would be done.
    """
    # Redis writes an id without leading zeros, and the script compares texts.
    entry_id = "{}-{}".format(*entry_ids.parse(entry_id))
    arguments = (group, entry_id, REQUEUED, CLAIMABLE_AT_ONCE_MS, int(dry_run))
    # EVAL and not EVALSHA: few users have the right to SCRIPT LOAD.
    reply: Any = client.eval(_RESEND, 1, partition.messages, *arguments)
    result, *holder = reply
    return Resent(partition, entry_id, result, *holder)


def partitions_with(
    client: "redis.Redis", partitions: Sequence[Partition], entry_id: str
) -> list[Partition]:
    """The partitions that have an entry with this id; several may. Raises redis.RedisError."""
    return [it for it in partitions if client.xrange(it.messages, entry_id, entry_id, count=1)]


def find(
    client: "redis.Redis",
    partitions: Sequence[Partition],
    wanted: EntryFilter,
    *,
    first: str,
    last: str,
) -> Iterator[tuple[Partition, str]]:
    """The entries that pass a filter, the oldest first, without their fields. Raises redis.RedisError."""
    numbers = {partition.number: partition for partition in partitions}
    projection = replace(Projection(max_bytes=MAX_SCANNED_BYTES), fields=wanted.fields)
    options = {"first": first, "last": last, "projection": projection}
    for entry in oldest_first(client, partitions, **options):  # type: ignore[arg-type]
        if wanted.matches(entry):
            yield numbers[entry.partition], entry.entry_id
