"""What was delivered to a consumer and not acknowledged. Only looks; changes nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from listener.queue.groups import idle_ms
from listener.queue.ids import LAST
from listener.queue.keys import Partition
from listener.queue.reader import Entry

PAGE = 100


@dataclass(frozen=True)
class Pending:
    """An entry that was delivered to a consumer and not acknowledged; no fields if it is gone."""

    entry: Entry
    group: str
    consumer: str
    idle_ms: int
    deliveries: int


def pending(client: "redis.Redis", where: Partition, group: str) -> Iterator[Pending]:
    """The entries that a group holds, the oldest first, in pages. Raises redis.RedisError."""
    first = "-"
    while rows := _rows(client, where, group, first):
        for row, fields in zip(rows, _fields(client, where, rows), strict=True):
            yield Pending(
                Entry(row["message_id"], fields, where.number),
                group,
                row["consumer"],
                idle_ms(row),
                row["times_delivered"],
            )
        if (last := rows[-1]["message_id"]) == LAST:
            # Redis refuses a range that begins behind it.
            return
        first = f"({last}"


def _rows(
    client: "redis.Redis", where: Partition, group: str, first: str
) -> Sequence[dict[str, Any]]:
    found: Any = client.xpending_range(where.messages, group, first, "+", PAGE)
    return list(found)


def _fields(
    client: "redis.Redis", where: Partition, rows: Sequence[dict[str, Any]]
) -> Iterator[dict[str, str]]:
    with client.pipeline(transaction=False) as pipeline:
        for row in rows:
            pipeline.xrange(where.messages, row["message_id"], row["message_id"])
        replies: Sequence[Any] = pipeline.execute()
    return (reply[0][1] if reply else {} for reply in replies)
