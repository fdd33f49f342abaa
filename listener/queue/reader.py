"""The queue's reading side: entries of all partitions as they come, without a consumer group."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from listener.queue.cluster import Cluster
from listener.queue.keys import Partition

BATCH = 100


@dataclass(frozen=True)
class Entry:
    """One entry of a message stream: its id in the stream, and the event's attributes."""

    entry_id: str
    fields: Mapping[str, str]


def follow(
    client: "redis.Redis", partitions: Sequence[Partition], *, start: str, block_ms: int
) -> Iterator[Entry | None]:
    """Yields the entries after `start` and then those that arrive, without end.

    Order is kept within a partition. Nothing is acknowledged and no entry is claimed: any number of
    readers see the same.

    Args:
        client: one that decodes responses, with a socket timeout above `block_ms`.
        partitions: whose messages to read.
        start: an entry id, or `0` to begin with the oldest entry there is.
        block_ms: milliseconds to wait for an entry; None is yielded when none came.

    Raises:
        redis.RedisError: Redis did not answer.
    """
    positions: dict[Any, Any] = {partition.messages: start for partition in partitions}
    read = _read_each if isinstance(client, Cluster) else _read_all
    while True:
        batches = read(client, positions, block_ms)
        for stream, entries in batches:
            for entry_id, fields in entries:
                positions[stream] = entry_id
                yield Entry(entry_id, fields)
        if not batches:
            yield None


def _read_all(client: "redis.Redis", positions: Mapping[Any, Any], block_ms: int) -> list[Any]:
    found: Any = client.xread({**positions}, count=BATCH, block=block_ms)
    return list(found)


def _read_each(client: "redis.Redis", positions: Mapping[Any, Any], block_ms: int) -> list[Any]:
    """One command may not read from several slots, nor wait for several nodes."""
    found: list[Any] = []
    for stream, position in positions.items():
        batch: Any = client.xread({stream: position}, count=BATCH)
        found += batch
    if not found:
        time.sleep(block_ms / 1000)
    return found
