"""What was delivered to a consumer and not acknowledged. Only looks; changes nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from listener import entry_ids
from listener.inspection.consumer_groups import idle_ms
from listener.inspection.pages import Entry, Part, page_of, page_words
from listener.queue.keys import Partition

PAGE = 100
# What is shown of a message: never its data.
SHOWN = Part(("kind", "account", "subject"), longest=1000, entries=1)


@dataclass(frozen=True)
class Pending:
    """An entry that was delivered to a consumer and not acknowledged; no fields if it is gone.

    Of its fields it has those of `SHOWN`, and `entry` if there is none of them.
    """

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
        if (last := rows[-1]["message_id"]) == entry_ids.LAST:
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
            entry_id = row["message_id"]
            words = page_words(where.messages, entry_id, entry_id, SHOWN)
            pipeline.execute_command(*words)  # type: ignore[no-untyped-call]
        replies: Sequence[Any] = pipeline.execute()
    found = (page_of(reply, where.number).entries for reply in replies)
    return (dict(entries[0].fields) or {"entry": "?"} if entries else {} for entries in found)
