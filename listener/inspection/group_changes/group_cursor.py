"""Moves a consumer group's cursor, after counting what the move delivers again and what it skips."""

from collections.abc import Sequence
from dataclasses import dataclass

import redis

from listener import entry_ids
from listener.inspection.consumer_groups import EntryCount, count_entries, group_infos
from listener.inspection.pages import stream_info
from listener.queue.keys import Partition


@dataclass(frozen=True)
class CursorMove:
    """What setting a group's cursor means in one partition, by the current figures.

    Attributes:
        current: the last entry that was delivered to the group.
        target: the same after the move.
        redelivered: the entries that will be delivered again.
        skipped: the entries that were not delivered and never will be.
        pending: the number of pending entries, which a move does not touch.
    """

    partition: Partition
    current: str
    target: str
    redelivered: EntryCount
    skipped: EntryCount
    pending: int


def plan_moves(
    client: "redis.Redis", partitions: Sequence[Partition], group: str, after: str
) -> list[CursorMove]:
    """What moving a group's cursor means, for each partition that has the group.

    A target never lies beyond the end of a stream: entries that arrive later are not skipped.

    Args:
        client: one that decodes responses.
        partitions: all of them.
        group: an existing one.
        after: the entry id after which the group shall continue.

    Raises:
        redis.RedisError: Redis did not answer.
    """
    return [
        _move(
            client, partition, str(info["last-delivered-id"]), after, pending=int(info["pending"])
        )
        for partition in partitions
        for info in group_infos(client, partition)
        if info["name"] == group
    ]


def apply_moves(client: "redis.Redis", group: str, moves: Sequence[CursorMove]) -> None:
    """Sets the cursors, one after the other. Raises redis.RedisError; the earlier ones are then set."""
    for move in moves:
        client.xgroup_setid(move.partition.messages, group, move.target)


def _move(
    client: "redis.Redis", partition: Partition, current: str, after: str, pending: int
) -> CursorMove:
    stream = partition.messages
    info = stream_info(client, stream)
    newest = str(info["last-generated-id"]) if info else current
    target = min(after, newest, key=entry_ids.parse)
    return CursorMove(
        partition,
        current,
        target,
        redelivered=_count_between(client, stream, target, current),
        skipped=_count_between(client, stream, current, target),
        pending=pending,
    )


def _count_between(client: "redis.Redis", stream: str, after: str, last: str) -> EntryCount:
    if entry_ids.parse(after) >= entry_ids.parse(last):
        return EntryCount(0)
    return count_entries(client, stream, f"({after}", last)
