"""Destroys a consumer group; `drop_group.lua` decides in each partition whether it may go."""

from dataclasses import dataclass
from typing import Any, Literal

import redis

from listener.inspection.consumer_groups import PSEUDO_CONSUMERS
from listener.queue.keys import Partition
from listener.redis_client.script import Script

# As long as a consumer of the library is silent at most before others take it for dead (`takeover_idle_s`).
ACTIVE_MS = 60_000

DropResult = Literal["dropped", "active", "pending", "no-group"]

_DROP = Script.load("listener.inspection", "drop_group.lua").text


@dataclass(frozen=True)
class Drop:
    """What became of a group in one partition.

    Attributes:
        result: as `drop_group.lua` describes it.
        pending: how many entries were delivered to the group and not acknowledged.
        dead: how many dead letters were deleted.
    """

    partition: Partition
    result: DropResult
    pending: int
    dead: int


def drop_group(
    client: "redis.Redis",
    partition: Partition,
    group: str,
    *,
    force: bool = False,
    dead_letters: bool = False,
) -> Drop:
    """Destroys a group in a partition, in one step; a second call does nothing. Raises redis.RedisError.

    Its cursor, its consumers' names and the record of what is pending are gone then. The messages and
    the other groups stay as they are.

    Args:
        client: one that decodes responses.
        partition: where.
        group: its name.
        force: also if a consumer was active within `ACTIVE_MS`, or entries are pending.
        dead_letters: delete its dead letters as well.
    """
    keys = (partition.messages, partition.dead(group))
    arguments = (group, ACTIVE_MS, int(force), int(dead_letters), *PSEUDO_CONSUMERS)
    # EVAL and not EVALSHA: few users have the right to SCRIPT LOAD.
    reply: Any = client.eval(_DROP, len(keys), *keys, *arguments)
    result, pending, dead = reply
    return Drop(partition, result, int(pending), int(dead))
