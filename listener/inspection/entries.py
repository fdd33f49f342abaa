"""Reads the messages of all partitions, in order or as they arrive, without a consumer group."""

import heapq
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import redis

from listener import entry_ids
from listener.inspection.pages import ALL_FIELDS, Projection, pages, stream_info
from listener.inspection.stream_entry import StreamEntry
from listener.queue.keys import Partition, fingerprint_field

# A merge holds a page of each partition: the partitions share the bytes of one page, at least this many each.
MIN_PAGE_BYTES = 2**16


def follow(
    client: "redis.Redis",
    partitions: Sequence[Partition],
    *,
    start: str | Mapping[str, str],
    block_ms: int,
) -> Iterator[StreamEntry | None]:
    """Yields the entries after `start` and then those that arrive, without end.

    Order is kept within a partition. Nothing is acknowledged or claimed, so any number of readers
    get the same entries.

    Args:
        client: one that decodes responses.
        partitions: whose messages to read.
        start: an entry id, or `0` to begin with the oldest entry; or one for each stream.
        block_ms: milliseconds to wait before looking again; yields None after a look without entries.

    Raises:
        redis.RedisError: Redis did not answer.
    """
    numbers = {partition.messages: partition.number for partition in partitions}
    positions: dict[Any, Any] = {
        stream: start if isinstance(start, str) else start[stream] for stream in numbers
    }
    while True:
        is_idle = True
        # One stream after the other: one command for all would fail in a Cluster, and in shards behind
        # one address. Redis does not block either: some proxies refuse that.
        for stream, number in numbers.items():
            first = f"({positions[stream]}"
            for page in pages(client, stream, first, "+", partition=number):
                is_idle = False
                for entry in page.entries:
                    positions[stream] = entry.entry_id
                    yield entry
        if is_idle:
            time.sleep(block_ms / 1000)
            yield None


def oldest_first(
    client: "redis.Redis",
    partitions: Sequence[Partition],
    *,
    first: str = "-",
    last: str = "+",
    projection: Projection = ALL_FIELDS,
) -> Iterator[StreamEntry]:
    """Yields the entries from one id to another, both included, by time. Reads in pages.

    Raises:
        redis.RedisError: Redis did not answer.
    """
    return _merged(client, partitions, first, last, projection, newest_first=False)


def newest_first(
    client: "redis.Redis",
    partitions: Sequence[Partition],
    *,
    first: str = "-",
    last: str = "+",
    projection: Projection = ALL_FIELDS,
) -> Iterator[StreamEntry]:
    """Yields the same entries as `oldest_first` in the reverse order."""
    return _merged(client, partitions, last, first, projection, newest_first=True)


def snapshot(
    client: "redis.Redis",
    stream: str,
    *,
    only: str | None = None,
    first: str = "-",
    partition: int = 0,
    projection: Projection = ALL_FIELDS,
) -> Iterator[StreamEntry]:
    """The entries that are in one stream now, in pages; leaves out entries that are added meanwhile.

    Args:
        client: one that decodes responses.
        stream: its key.
        only: the id of the only entry that is wanted.
        first: the id from which on entries are wanted.
        partition: the number that each entry gets as its partition.
        projection: what to read of each entry.
    """
    info = stream_info(client, stream)
    if info and info["last-entry"]:
        start, last = (only, only) if only else (first, info["last-entry"][0])
        yield from _entries(client, stream, start, last, projection=projection, partition=partition)


def newest_ids(client: "redis.Redis", partitions: Sequence[Partition]) -> dict[str, str]:
    """The last generated id of each stream; `0-0` for a stream that does not exist."""
    ids = {}
    for partition in partitions:
        info = stream_info(client, partition.messages)
        ids[partition.messages] = str(info["last-generated-id"]) if info else entry_ids.FIRST
    return ids


def _merged(
    client: "redis.Redis",
    partitions: Sequence[Partition],
    start: str,
    stop: str,
    projection: Projection,
    *,
    newest_first: bool,
) -> Iterator[StreamEntry]:
    max_bytes = max(projection.max_bytes // len(partitions), MIN_PAGE_BYTES)
    options = {
        "projection": replace(projection, max_bytes=max_bytes),
        "newest_first": newest_first,
    }
    streams = [
        _entries(client, partition.messages, start, stop, partition=partition.number, **options)
        for partition in partitions
    ]
    return heapq.merge(*streams, key=lambda entry: entry.order, reverse=newest_first)


def _entries(
    client: "redis.Redis", stream: str, start: str, stop: str, **options: Any
) -> Iterator[StreamEntry]:
    for page in pages(client, stream, start, stop, **options):
        yield from page.entries


def find_entry_id(client: "redis.Redis", partition: Partition, message_id: str) -> str | None:
    """The entry id of a message that Redis remembers, perhaps for longer than the window; None if it does not.

    Raises:
        redis.RedisError: Redis did not answer.
    """
    value: Any = client.hget(partition.fingerprint_hash(message_id), fingerprint_field(message_id))
    if not value:
        value = client.get(partition.fingerprint_string(message_id))
        return _text(value) if value else None
    # As enqueue.lua writes it.
    text = _text(value)
    time, rest = text[:13], text[13:]
    return rest[1:] if rest.startswith("-") else f"{time}-{rest}"


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode()
