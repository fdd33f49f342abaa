"""Reads stream entries page by page, a bounded number of bytes at once: `page.lua` decides where a page ends."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from listener import entry_ids
from listener.inspection.stream_entry import StreamEntry
from listener.redis_client.script import Script

# A page ends at either limit: Redis serves no other client while it reads one.
MAX_PAGE_ENTRIES = 500
MAX_PAGE_BYTES = 2**20
# For reads that return little of what Redis reads.
MAX_SCANNED_BYTES = 8 * 2**20

_PAGE = Script.load("listener.inspection", "page.lua").text
_INFO = Script.load("listener.inspection", "stream_info.lua").text


@dataclass(frozen=True)
class Page:
    """Entries that were read together; `bytes` is what Redis read for them, returned or not."""

    entries: Sequence[StreamEntry]
    bytes: int


@dataclass(frozen=True)
class Projection:
    """Which part of each entry is read, and how much at once.

    Attributes:
        fields: only these fields; empty: all.
        max_value_bytes: only the first bytes of each value; 0: all.
        max_entries: the entries of a page.
        max_bytes: a page that has this many bytes takes no further entry; its last entry may exceed it.
    """

    fields: Sequence[str] = ()
    max_value_bytes: int = 0
    max_entries: int = MAX_PAGE_ENTRIES
    max_bytes: int = MAX_PAGE_BYTES


ALL_FIELDS = Projection()
# No field has an empty name.
IDS_ONLY = Projection(("",), max_bytes=MAX_SCANNED_BYTES)


def pages(
    client: "redis.Redis",
    stream: str,
    start: str,
    stop: str,
    *,
    projection: Projection = ALL_FIELDS,
    newest_first: bool = False,
    partition: int = 0,
) -> Iterator[Page]:
    """Yields a range of a stream, page by page; holds one page at a time.

    Args:
        client: one that decodes responses.
        stream: its key.
        start: where to begin, as XRANGE (or XREVRANGE with `newest_first`) takes it.
        stop: where to end, in the same form.
        projection: what to read of each entry.
        newest_first: the direction.
        partition: the number that each entry gets as its partition.

    Raises:
        redis.RedisError: Redis did not answer, or the key is no stream.
    """
    while start != f"({entry_ids.LAST}":
        command = page_command(stream, start, stop, projection, newest_first=newest_first)
        page = parse_page(client.execute_command(*command), partition)  # type: ignore[no-untyped-call]
        if not page.entries:
            return
        yield page
        start = f"({page.entries[-1].entry_id}"


def page_command(
    stream: str, start: str, stop: str, projection: Projection, *, newest_first: bool = False
) -> list[Any]:
    """The command that reads one page; a pipeline can send several. `parse_page` takes its reply."""
    command = "XREVRANGE" if newest_first else "XRANGE"
    limits = (projection.max_entries, projection.max_bytes, projection.max_value_bytes)
    # EVAL and not EVALSHA: few users have the right to SCRIPT LOAD.
    return ["EVAL", _PAGE, 1, stream, command, start, stop, *limits, *projection.fields]


def parse_page(reply: Any, partition: int) -> Page:
    """Makes a page of the reply to `page_command`."""
    size, rows = reply
    entries = [
        StreamEntry(entry_id, _paired(fields), partition, _paired(cut))
        for entry_id, fields, cut in rows
    ]
    return Page(entries, int(size))


def stream_info(client: "redis.Redis", stream: str) -> dict[str, Any] | None:
    """The reply of XINFO STREAM, with the ids alone of its first and last entry; None: no such stream.

    Raises:
        redis.RedisError: Redis did not answer, or the key is no stream.
    """
    try:
        reply: Any = client.eval(_INFO, 1, stream)
    except redis.ResponseError as error:
        if "no such key" in str(error):
            return None
        raise
    return _paired(reply)


def _paired(flat: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
