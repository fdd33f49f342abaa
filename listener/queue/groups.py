"""What consumer groups have read, hold and left behind. Only looks; changes nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from listener.queue.keys import Partition
from listener.queue.reader import Entry, stream_info

# Counting means reading. Beyond this many it is only said that there are more.
MOST_COUNTED = 10_000
PAGE = 500
# Nobody: it holds what `dead requeue` gave back until a consumer takes it over.
REQUEUED = "requeued"


@dataclass(frozen=True)
class Count:
    """How many entries; `exact` is false where there are more than were counted."""

    entries: int
    exact: bool = True

    def __str__(self) -> str:
        """With a plus sign where there are more."""
        return f"{self.entries}{'' if self.exact else '+'}"


@dataclass(frozen=True)
class Group:
    """A consumer group in one partition.

    Attributes:
        lag: what it has not read yet.
        pending: how many entries were delivered and not acknowledged.
        oldest_pending: the smallest id of those, and for how long nobody touched it, in ms.
        consumers: how many there are.
        idle_ms: since when none of them has been seen; None without any.
        dead: how many entries it gave up on.
        cursor: the last entry that it was given.
    """

    name: str
    partition: int
    lag: Count
    pending: int
    oldest_pending: str | None
    oldest_pending_idle_ms: int | None
    consumers: int
    idle_ms: int | None
    dead: int
    cursor: str


@dataclass(frozen=True)
class Pending:
    """An entry that was delivered to a consumer and not acknowledged; no fields if it is gone."""

    entry: Entry
    group: str
    consumer: str
    idle_ms: int
    deliveries: int


def names(client: "redis.Redis", partitions: Iterable[Partition]) -> list[str]:
    """The groups of all partitions. Raises redis.RedisError."""
    return sorted({str(info["name"]) for where in partitions for info in infos(client, where)})


def infos(client: "redis.Redis", where: Partition) -> list[dict[str, Any]]:
    """What Redis says of a partition's groups; none where there is no stream."""
    if stream_info(client, where.messages) is None:
        return []
    found: Any = client.xinfo_groups(where.messages)
    return list(found)


def groups(client: "redis.Redis", where: Partition) -> list[Group]:
    """All groups of a partition, by name. Raises redis.RedisError."""
    found = [_group(client, where, info) for info in infos(client, where)]
    return sorted(found, key=lambda group: group.name)


def count(client: "redis.Redis", stream: str, first: str, last: str = "+") -> Count:
    """How many entries there are from one id to another; `(` before an id leaves itself out."""
    found = 0
    while found < MOST_COUNTED:
        batch: Any = client.xrange(stream, first, last, count=PAGE)
        found += len(batch)
        if len(batch) < PAGE:
            return Count(found)
        first = f"({batch[-1][0]}"
    return Count(found, exact=False)


def pending(client: "redis.Redis", where: Partition, group: str, most: int) -> list[Pending]:
    """The entries that a group holds, the oldest first, `most` at most. Raises redis.RedisError."""
    rows: Any = client.xpending_range(where.messages, group, "-", "+", most)
    if not rows:
        return []
    with client.pipeline(transaction=False) as pipeline:
        for row in rows:
            pipeline.xrange(where.messages, row["message_id"], row["message_id"])
        replies: Sequence[Any] = pipeline.execute()
    return [
        Pending(
            Entry(row["message_id"], reply[0][1] if reply else {}, where.number),
            group,
            row["consumer"],
            row["time_since_delivered"],
            row["times_delivered"],
        )
        for row, reply in zip(rows, replies, strict=True)
    ]


def _group(client: "redis.Redis", where: Partition, info: dict[str, Any]) -> Group:
    name, cursor = str(info["name"]), str(info["last-delivered-id"])
    lag = info.get("lag")
    oldest: Any = client.xpending_range(where.messages, name, "-", "+", 1)
    all_consumers: Any = client.xinfo_consumers(where.messages, name)
    idle = [int(one["idle"]) for one in all_consumers if one["name"] != REQUEUED]
    return Group(
        name=name,
        partition=where.number,
        # Servers before Redis 7 do not say, and newer ones not after entries were deleted.
        lag=count(client, where.messages, f"({cursor}") if lag is None else Count(int(lag)),
        pending=int(info["pending"]),
        oldest_pending=oldest[0]["message_id"] if oldest else None,
        oldest_pending_idle_ms=oldest[0]["time_since_delivered"] if oldest else None,
        consumers=len(idle),
        idle_ms=min(idle, default=None),
        dead=client.xlen(where.dead(name)),
        cursor=cursor,
    )
