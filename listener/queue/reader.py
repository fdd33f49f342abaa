"""The queue's reading side: entries of all partitions as they come, without a consumer group."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from listener.queue.keys import Partition


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
    while True:
        batches: Any = client.xread(positions, count=100, block=block_ms)
        for stream, entries in batches:
            for entry_id, fields in entries:
                positions[stream] = entry_id
                yield Entry(entry_id, fields)
        if not batches:
            yield None
