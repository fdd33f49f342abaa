"""What consumer groups have read, hold and left behind. Only looks; changes nothing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from listener import entry_ids
from listener.inspection.pages import IDS, pages, stream_info
from listener.queue.keys import Partition

# Counting means reading. Beyond this many it is only said that there are more.
MOST_COUNTED = 10_000
MOST_BYTES_COUNTED = 64 * 2**20
REQUEUED = "requeued"
"""The consumer that holds what `dead requeue` gave back, until another takes it over."""
HANDED_BACK = "handed-back"
"""The consumer that holds what one handed back when it stopped; others take it over at once."""
# No process reads under these names.
NOBODY = (REQUEUED, HANDED_BACK)
# How long what is given to them counts as idle from the first: longer than anybody's takeover_idle_s.
# It stands in requeue.lua as well.
LONG_AGO_MS = 24 * 3600 * 1000


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
    stream = stream_info(client, where.messages)
    if stream is None:
        return []
    found: Any = client.xinfo_groups(where.messages)
    if not found:
        return []
    lags = _lags(client, where, stream, found)
    told = zip(found, lags, _details(client, where, found), strict=True)
    return sorted((_group(where, *one) for one in told), key=lambda group: group.name)


def idle_ms(row: Mapping[str, Any]) -> int:
    """For how long nobody touched a pending entry; of what was given back: since when it waits.

    Args:
        row: one of XPENDING's.
    """
    told = int(row["time_since_delivered"])
    return max(told - LONG_AGO_MS, 0) if row["consumer"] in NOBODY else told


def count(
    client: "redis.Redis", stream: str, first: str, last: str = "+", most: int = MOST_COUNTED
) -> Count:
    """How many entries there are from one id to another; `(` before an id leaves itself out.

    Counts `most` and a page at the most, and what has `MOST_BYTES_COUNTED`.
    """
    found = read = 0
    for page in pages(client, stream, first, last, part=IDS):
        if found >= most or read >= MOST_BYTES_COUNTED:
            return Count(min(found, most), exact=False)
        found += len(page.entries)
        read += page.bytes
    return Count(found)


def _lags(
    client: "redis.Redis",
    where: Partition,
    stream: Mapping[str, Any],
    found: Sequence[Mapping[str, Any]],
) -> list[Count]:
    """What each group has not read: Redis's own figure, else counted, for all groups at once."""
    # Servers before Redis 7 do not say, and newer ones not after entries were deleted.
    untold = [str(info["last-delivered-id"]) for info in found if info.get("lag") is None]
    counted = _behind(client, where, stream, untold)
    return [
        counted[str(info["last-delivered-id"])]
        if info.get("lag") is None
        else Count(int(info["lag"]))
        for info in found
    ]


def _behind(
    client: "redis.Redis", where: Partition, stream: Mapping[str, Any], cursors: Iterable[str]
) -> dict[str, Count]:
    """How many entries stand behind each cursor; most need no counting, the others share it."""
    length, first, last = stream["length"], stream["first-entry"], stream["last-entry"]
    known: dict[str, Count] = {}
    for cursor in set(cursors):
        if not length or entry_ids.parse(cursor) >= entry_ids.parse(last[0]):
            known[cursor] = Count(0)
        elif entry_ids.parse(cursor) < entry_ids.parse(first[0]):
            known[cursor] = Count(int(length))
    left = sorted(set(cursors) - known.keys(), key=entry_ids.parse, reverse=True)
    before, end = Count(0), "+"
    for cursor in left:
        if before.exact:
            more = count(client, where.messages, f"({cursor}", end, MOST_COUNTED - before.entries)
            entries = before.entries + more.entries
            before = Count(entries, more.exact)
        known[cursor], end = before, cursor
    return known


def _details(
    client: "redis.Redis", where: Partition, found: Sequence[Mapping[str, Any]]
) -> list[tuple[Any, Any, int]]:
    """Of each group its oldest pending entry, its consumers and its dead letters; one round trip."""
    with client.pipeline(transaction=False) as pipeline:
        for info in found:
            pipeline.xpending_range(where.messages, info["name"], "-", "+", 1)
            pipeline.xinfo_consumers(where.messages, info["name"])
            pipeline.xlen(where.dead(info["name"]))
        replies: Sequence[Any] = pipeline.execute()
    return list(zip(replies[::3], replies[1::3], replies[2::3], strict=True))


def _group(
    where: Partition, info: Mapping[str, Any], lag: Count, details: tuple[Any, Any, int]
) -> Group:
    oldest, consumers, dead = details
    idle = [int(one["idle"]) for one in consumers if one["name"] not in NOBODY]
    return Group(
        name=str(info["name"]),
        partition=where.number,
        lag=lag,
        pending=int(info["pending"]),
        oldest_pending=oldest[0]["message_id"] if oldest else None,
        oldest_pending_idle_ms=idle_ms(oldest[0]) if oldest else None,
        consumers=len(idle),
        idle_ms=min(idle, default=None),
        dead=int(dead),
        cursor=str(info["last-delivered-id"]),
    )
