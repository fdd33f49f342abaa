"""The queue's reading side: entries of all partitions, without a consumer group."""

import heapq
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from listener.queue.ids import FIRST, LAST, order
from listener.queue.keys import Partition

BATCH = 100


@dataclass(frozen=True)
class Entry:
    """One entry of a stream: its id in the stream, the event's attributes, the partition's number."""

    entry_id: str
    fields: Mapping[str, str]
    partition: int = 0

    @property
    def order(self) -> tuple[int, int, int]:
        """What tells earlier from later, across partitions as far as their servers' clocks agree."""
        return (*order(self.entry_id), self.partition)


def follow(
    client: "redis.Redis",
    partitions: Sequence[Partition],
    *,
    start: str | Mapping[str, str],
    block_ms: int,
) -> Iterator[Entry | None]:
    """Yields the entries after `start` and then those that arrive, without end.

    Order is kept within a partition. Nothing is acknowledged and no entry is claimed: any number of
    readers see the same.

    Args:
        client: one that decodes responses.
        partitions: whose messages to read.
        start: an entry id, or `0` to begin with the oldest entry there is; or one for each stream.
        block_ms: milliseconds to wait before looking again; None is yielded when none came.

    Raises:
        redis.RedisError: Redis did not answer.
    """
    numbers = {partition.messages: partition.number for partition in partitions}
    positions: dict[Any, Any] = {
        stream: start if isinstance(start, str) else start[stream] for stream in numbers
    }
    while True:
        batches = _read_each(client, positions, block_ms)
        for stream, entries in batches:
            for entry_id, fields in entries:
                positions[stream] = entry_id
                yield Entry(entry_id, fields, numbers[stream])
        if not batches:
            yield None


def entries(
    client: "redis.Redis", partitions: Sequence[Partition], *, first: str = "-", last: str = "+"
) -> Iterator[Entry]:
    """Yields what is kept from one entry id to another, both included, by time. Reads in pages.

    Raises:
        redis.RedisError: Redis did not answer.
    """
    return heapq.merge(
        *(_page(client.xrange, where, first, last) for where in partitions),
        key=lambda entry: entry.order,
    )


def newest_first(
    client: "redis.Redis", partitions: Sequence[Partition], *, first: str = "-", last: str = "+"
) -> Iterator[Entry]:
    """Likewise, the newest first."""
    return heapq.merge(
        *(_page(client.xrevrange, where, last, first) for where in partitions),
        key=lambda entry: entry.order,
        reverse=True,
    )


def standing(
    client: "redis.Redis", stream: str, *, only: str | None = None, number: int = 0
) -> Iterator[Entry]:
    """The entries that are in any one stream now, in pages; not those that are added meanwhile.

    Args:
        client: one that decodes responses.
        stream: which.
        only: the id of the one that is wanted.
        number: said of each as its partition.
    """
    last: Any = client.xrevrange(stream, count=1)
    if last:
        first, end = (only, only) if only else ("-", last[0][0])
        yield from _page_of(client.xrange, stream, first, end, number)


def newest_ids(client: "redis.Redis", partitions: Sequence[Partition]) -> dict[str, str]:
    """For each stream the id that it gave last; `0-0` for one that is not there."""
    found = {}
    for where in partitions:
        info = stream_info(client, where.messages)
        found[where.messages] = str(info["last-generated-id"]) if info else FIRST
    return found


def stream_info(client: "redis.Redis", stream: str) -> dict[str, Any] | None:
    """What Redis says of a stream; None if it is not there.

    Raises:
        redis.RedisError: Redis did not answer, or the key is no stream.
    """
    try:
        found: Any = client.xinfo_stream(stream)
    except redis.ResponseError as error:
        if "no such key" in str(error):
            return None
        raise
    return dict(found)


def _page(read: Callable[..., Any], where: Partition, start: str, stop: str) -> Iterator[Entry]:
    return _page_of(read, where.messages, start, stop, where.number)


def _page_of(
    read: Callable[..., Any], stream: str, start: str, stop: str, number: int
) -> Iterator[Entry]:
    while batch := read(stream, start, stop, count=BATCH):
        for entry_id, fields in batch:
            yield Entry(entry_id, fields, number)
        if (last := batch[-1][0]) == LAST:
            # Redis refuses a range that begins behind it.
            return
        start = f"({last}"


def _read_each(client: "redis.Redis", positions: Mapping[Any, Any], block_ms: int) -> list[Any]:
    """One command for all would find nothing in a Cluster, nor in shards behind one address.

    It does not wait in Redis either: some proxies refuse that.
    """
    found: list[Any] = []
    for stream, position in positions.items():
        batch: Any = client.xread({stream: position}, count=BATCH)
        found += batch
    if not found:
        time.sleep(block_ms / 1000)
    return found
