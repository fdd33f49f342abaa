"""Where a consumer group stands in each partition, and what moving it would mean."""

from collections.abc import Sequence
from dataclasses import dataclass

import redis

from listener import entry_ids
from listener.inspection.consumer_groups import Count, count, infos
from listener.inspection.pages import stream_info
from listener.queue.keys import Partition

NONE = Count(0)


@dataclass(frozen=True)
class Move:
    """What setting a group's cursor means in one partition, as things stand.

    Attributes:
        now: the last entry that the group was given.
        to: the same after the move.
        again: how many entries will be given to it again.
        skipped: how many it has not been given and never will be.
        pending: how many remain pending: a cursor does not touch those.
    """

    where: Partition
    now: str
    to: str
    again: Count
    skipped: Count
    pending: int


def plan(
    client: "redis.Redis", partitions: Sequence[Partition], group: str, after: str
) -> list[Move]:
    """What moving a group's cursor means, for each partition where there is such a group.

    It never moves beyond what a stream holds: what arrives later is not skipped.

    Args:
        client: one that decodes responses.
        partitions: all of them.
        group: an existing one.
        after: the entry id behind which the group shall go on.

    Raises:
        redis.RedisError: Redis did not answer.
    """
    moves = []
    for where in partitions:
        for info in infos(client, where):
            if info["name"] == group:
                now, pending = str(info["last-delivered-id"]), int(info["pending"])
                moves.append(_move(client, where, now, after, pending))
    return moves


def apply(client: "redis.Redis", group: str, moves: Sequence[Move]) -> None:
    """Sets the cursors. Raises redis.RedisError; those before it are then set."""
    for move in moves:
        client.xgroup_setid(move.where.messages, group, move.to)


def _move(client: "redis.Redis", where: Partition, now: str, after: str, pending: int) -> Move:
    info = stream_info(client, where.messages)
    newest = str(info["last-generated-id"]) if info else now
    to = min(after, newest, key=entry_ids.parse)
    stream = where.messages
    again = (
        count(client, stream, f"({to}", now) if entry_ids.parse(to) < entry_ids.parse(now) else NONE
    )
    skipped = (
        count(client, stream, f"({now}", to) if entry_ids.parse(now) < entry_ids.parse(to) else NONE
    )
    return Move(where, now, to, again, skipped, pending)
