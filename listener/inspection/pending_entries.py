"""Reads a consumer group's pending entries: those that were delivered and not acknowledged."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from listener import entry_ids
from listener.inspection.consumer_groups import pending_idle_ms
from listener.inspection.pages import Projection, page_command, parse_page
from listener.inspection.stream_entry import StreamEntry
from listener.queue.keys import Partition

PAGE_ENTRIES = 100
# What is read of a message: never its data.
SUMMARY = Projection(("kind", "account", "subject"), max_value_bytes=1000, max_entries=1)


@dataclass(frozen=True)
class PendingEntry:
    """An entry that was delivered to a consumer and not acknowledged.

    Its fields are those of `SUMMARY`; `entry` alone if it has none of them; none if the entry is gone.
    """

    entry: StreamEntry
    group: str
    consumer: str
    idle_ms: int
    deliveries: int


def pending_entries(
    client: "redis.Redis", partition: Partition, group: str
) -> Iterator[PendingEntry]:
    """A group's pending entries, the oldest first, in pages. Raises redis.RedisError."""
    first = "-"
    while rows := _rows(client, partition, group, first):
        for row, fields in zip(rows, _fields(client, partition, rows), strict=True):
            yield PendingEntry(
                StreamEntry(row["message_id"], fields, partition.number),
                group,
                row["consumer"],
                pending_idle_ms(row),
                row["times_delivered"],
            )
        if (last := rows[-1]["message_id"]) == entry_ids.LAST:
            # Redis refuses a range that begins after it.
            return
        first = f"({last}"


def _rows(
    client: "redis.Redis", partition: Partition, group: str, first: str
) -> Sequence[dict[str, Any]]:
    rows: Any = client.xpending_range(partition.messages, group, first, "+", PAGE_ENTRIES)
    return list(rows)


def _fields(
    client: "redis.Redis", partition: Partition, rows: Sequence[dict[str, Any]]
) -> Iterator[dict[str, str]]:
    with client.pipeline(transaction=False) as pipeline:
        for row in rows:
            entry_id = row["message_id"]
            command = page_command(partition.messages, entry_id, entry_id, SUMMARY)
            pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
        replies: Sequence[Any] = pipeline.execute()
    pages = (parse_page(reply, partition.number).entries for reply in replies)
    return (dict(entries[0].fields) or {"entry": "?"} if entries else {} for entries in pages)
