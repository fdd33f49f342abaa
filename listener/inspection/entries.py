"""The queue's reading side: entries of all partitions, without a consumer group."""

import heapq
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import redis

from listener import entry_ids
from listener.inspection.pages import IDS, WHOLE, Entry, Part, pages, stream_info
from listener.queue.keys import Partition

__all__ = ["Entry", "entries", "follow", "newest_first", "newest_ids", "standing", "stream_info"]

# Merging holds a page of each partition: all of them together are bounded, but for an entry of each.
LEAST_BYTES = 2**16


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
        is_idle = True
        # One after the other: one command for all would find nothing in a Cluster, nor in shards behind
        # one address. It does not wait in Redis either: some proxies refuse that.
        for stream, number in numbers.items():
            start_id = f"({positions[stream]}"
            for page in pages(client, stream, start_id, "+", number=number):
                is_idle = False
                for entry in page.entries:
                    positions[stream] = entry.entry_id
                    yield entry
        if is_idle:
            time.sleep(block_ms / 1000)
            yield None


def entries(
    client: "redis.Redis",
    partitions: Sequence[Partition],
    *,
    first: str = "-",
    last: str = "+",
    part: Part = WHOLE,
) -> Iterator[Entry]:
    """Yields what is kept from one entry id to another, both included, by time. Reads in pages.

    Raises:
        redis.RedisError: Redis did not answer.
    """
    some = _share(part, len(partitions))
    return heapq.merge(
        *(
            _entries(client, where.messages, first, last, part=some, number=where.number)
            for where in partitions
        ),
        key=lambda entry: entry.order,
    )


def newest_first(
    client: "redis.Redis",
    partitions: Sequence[Partition],
    *,
    first: str = "-",
    last: str = "+",
    part: Part = WHOLE,
) -> Iterator[Entry]:
    """Likewise, the newest first."""
    some = _share(part, len(partitions))
    return heapq.merge(
        *(
            _entries(
                client, it.messages, last, first, part=some, newest_first=True, number=it.number
            )
            for it in partitions
        ),
        key=lambda entry: entry.order,
        reverse=True,
    )


def standing(
    client: "redis.Redis",
    stream: str,
    *,
    only: str | None = None,
    number: int = 0,
    part: Part = WHOLE,
) -> Iterator[Entry]:
    """The entries that are in any one stream now, in pages; not those that are added meanwhile.

    Args:
        client: one that decodes responses.
        stream: which.
        only: the id of the one that is wanted.
        number: said of each as its partition.
        part: how much to read of each.
    """
    last = next(pages(client, stream, "+", "-", part=IDS, newest_first=True), None)
    if last:
        first, end = (only, only) if only else ("-", last.entries[0].entry_id)
        yield from _entries(client, stream, first, end, part=part, number=number)


def newest_ids(client: "redis.Redis", partitions: Sequence[Partition]) -> dict[str, str]:
    """For each stream the id that it gave last; `0-0` for one that is not there."""
    found = {}
    for where in partitions:
        info = stream_info(client, where.messages)
        found[where.messages] = str(info["last-generated-id"]) if info else entry_ids.FIRST
    return found


def _share(part: Part, partitions: int) -> Part:
    return replace(part, bytes=max(part.bytes // partitions, LEAST_BYTES))


def _entries(
    client: "redis.Redis", stream: str, start: str, stop: str, **options: Any
) -> Iterator[Entry]:
    for page in pages(client, stream, start, stop, **options):
        yield from page.entries
