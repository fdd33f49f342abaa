"""Reads the state of consumer groups: their lag, pending entries, consumers and dead letters."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from listener import entry_ids
from listener.inspection.pages import IDS_ONLY, pages, stream_info
from listener.queue.keys import Partition

# Counting reads the entries: beyond either limit the result only says that there are more.
MAX_COUNTED = 10_000
MAX_COUNTED_BYTES = 64 * 2**20
REQUEUED = "requeued"
"""Owns what `dead requeue` gave back, until a consumer claims it."""
HANDED_BACK = "handed-back"
"""Owns what a consumer handed back when it stopped; another consumer claims it at once."""
# Names in a consumer group that no process reads under.
PSEUDO_CONSUMERS = (REQUEUED, HANDED_BACK)
# The idle time that their entries get at first: longer than any takeover_idle_s.
CLAIMABLE_AT_ONCE_MS = 24 * 3600 * 1000


@dataclass(frozen=True)
class EntryCount:
    """A number of entries; `exact` is False if there are more than were counted."""

    entries: int
    exact: bool = True

    @classmethod
    def total(cls, counts: "Iterable[EntryCount]") -> "EntryCount":
        """The sum; exact if all of them are."""
        each = list(counts)
        return cls(sum(count.entries for count in each), all(count.exact for count in each))

    def __str__(self) -> str:
        """With a plus sign if there are more."""
        return f"{self.entries}{'' if self.exact else '+'}"


@dataclass(frozen=True)
class GroupStats:
    """A consumer group in one partition.

    Attributes:
        lag: the entries that it has not read yet.
        pending: the number of entries that were delivered and not acknowledged.
        oldest_pending: the smallest id of those; `oldest_pending_idle_ms` since when it was not delivered or claimed.
        consumers: the number of consumers.
        idle_ms: since when none of them was active; None without any.
        dead: the number of its dead letters.
        cursor: the last entry that was delivered to it.
    """

    name: str
    partition: int
    lag: EntryCount
    pending: int
    oldest_pending: str | None
    oldest_pending_idle_ms: int | None
    consumers: int
    idle_ms: int | None
    dead: int
    cursor: str


def group_names(client: "redis.Redis", partitions: Iterable[Partition]) -> list[str]:
    """The groups of all partitions. Raises redis.RedisError."""
    infos = (info for partition in partitions for info in group_infos(client, partition))
    return sorted({str(info["name"]) for info in infos})


def group_infos(client: "redis.Redis", partition: Partition) -> list[dict[str, Any]]:
    """The reply of XINFO GROUPS; empty if the partition has no stream."""
    if stream_info(client, partition.messages) is None:
        return []
    infos: Any = client.xinfo_groups(partition.messages)
    return list(infos)


def group_stats(client: "redis.Redis", partition: Partition) -> list[GroupStats]:
    """All groups of a partition, by name. Raises redis.RedisError."""
    stream = stream_info(client, partition.messages)
    if stream is None:
        return []
    infos: Any = client.xinfo_groups(partition.messages)
    if not infos:
        return []
    lags = _lags(client, partition, stream, infos)
    rows = zip(infos, lags, _details(client, partition, infos), strict=True)
    return sorted((_stats(partition, *row) for row in rows), key=lambda group: group.name)


def pending_idle_ms(row: Mapping[str, Any]) -> int:
    """How long a pending entry was not delivered or claimed; of what was given back, how long it waits.

    Args:
        row: one of XPENDING's.
    """
    idle_ms = int(row["time_since_delivered"])
    if row["consumer"] in PSEUDO_CONSUMERS:
        return max(idle_ms - CLAIMABLE_AT_ONCE_MS, 0)
    return idle_ms


def count_entries(
    client: "redis.Redis", stream: str, first: str, last: str = "+", limit: int = MAX_COUNTED
) -> EntryCount:
    """The number of entries from one id to another; `(` before an id excludes it.

    Reads at most `limit` entries and a page more, or `MAX_COUNTED_BYTES`.
    """
    entries = size = 0
    for page in pages(client, stream, first, last, projection=IDS_ONLY):
        if entries >= limit or size >= MAX_COUNTED_BYTES:
            return EntryCount(min(entries, limit), exact=False)
        entries += len(page.entries)
        size += page.bytes
    return EntryCount(entries)


def _lags(
    client: "redis.Redis",
    partition: Partition,
    stream: Mapping[str, Any],
    infos: Sequence[Mapping[str, Any]],
) -> list[EntryCount]:
    """The lag of each group as Redis reports it; counted, for all groups at once, where it does not."""
    # Redis before 7 reports none; later versions report none after entries were deleted.
    cursors = [str(info["last-delivered-id"]) for info in infos if info.get("lag") is None]
    counted = _counted_lags(client, partition, stream, cursors)
    return [
        counted[str(info["last-delivered-id"])]
        if info.get("lag") is None
        else EntryCount(int(info["lag"]))
        for info in infos
    ]


def _counted_lags(
    client: "redis.Redis", partition: Partition, stream: Mapping[str, Any], cursors: Iterable[str]
) -> dict[str, EntryCount]:
    """The number of entries behind each cursor; entries that several cursors have behind them are read once."""
    length, first, last = stream["length"], stream["first-entry"], stream["last-entry"]
    lags: dict[str, EntryCount] = {}
    for cursor in set(cursors):
        if not length or entry_ids.parse(cursor) >= entry_ids.parse(last[0]):
            lags[cursor] = EntryCount(0)
        elif entry_ids.parse(cursor) < entry_ids.parse(first[0]):
            lags[cursor] = EntryCount(int(length))
    between = sorted(set(cursors) - lags.keys(), key=entry_ids.parse, reverse=True)
    behind, end = EntryCount(0), "+"
    for cursor in between:
        if behind.exact:
            limit = MAX_COUNTED - behind.entries
            more = count_entries(client, partition.messages, f"({cursor}", end, limit)
            behind = EntryCount(behind.entries + more.entries, more.exact)
        lags[cursor], end = behind, cursor
    return lags


def _details(
    client: "redis.Redis", partition: Partition, infos: Sequence[Mapping[str, Any]]
) -> list[tuple[Any, Any, int]]:
    """Each group's oldest pending entry, consumers and number of dead letters, in one round trip."""
    with client.pipeline(transaction=False) as pipeline:
        for info in infos:
            pipeline.xpending_range(partition.messages, info["name"], "-", "+", 1)
            pipeline.xinfo_consumers(partition.messages, info["name"])
            pipeline.xlen(partition.dead(info["name"]))
        replies: Sequence[Any] = pipeline.execute()
    return list(zip(replies[::3], replies[1::3], replies[2::3], strict=True))


def _stats(
    partition: Partition, info: Mapping[str, Any], lag: EntryCount, details: tuple[Any, Any, int]
) -> GroupStats:
    oldest, consumers, dead = details
    idle = [int(row["idle"]) for row in consumers if row["name"] not in PSEUDO_CONSUMERS]
    return GroupStats(
        name=str(info["name"]),
        partition=partition.number,
        lag=lag,
        pending=int(info["pending"]),
        oldest_pending=oldest[0]["message_id"] if oldest else None,
        oldest_pending_idle_ms=pending_idle_ms(oldest[0]) if oldest else None,
        consumers=len(idle),
        idle_ms=min(idle, default=None),
        dead=int(dead),
        cursor=str(info["last-delivered-id"]),
    )
