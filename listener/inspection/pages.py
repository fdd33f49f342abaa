"""Reads a stream in pages that are bounded by bytes, for whoever looks at it without a consumer group."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis

from listener import entry_ids
from listener.redis_client.script import Script

# So many entries, or after so many bytes: Redis serves nobody else while it reads a page.
MOST_ENTRIES = 500
MOST_BYTES = 2**20
# Where little of what is read is returned.
MOST_BYTES_READ = 8 * 2**20
NOTHING = ("",)
"""The fields to ask for if an entry's id is enough: no field has this name."""

_PAGE = Script.load("listener.inspection", "page.lua").text
_INFO = Script.load("listener.inspection", "stream_info.lua").text


@dataclass(frozen=True)
class Entry:
    """One entry of a stream, or a part of it.

    Attributes:
        entry_id: its id in the stream.
        fields: the event's attributes that were asked for.
        partition: its number.
        cut: of each attribute of which only the beginning was read: its whole size in bytes.
    """

    entry_id: str
    fields: Mapping[str, str]
    partition: int = 0
    cut: Mapping[str, int] = field(default_factory=dict)

    @property
    def order(self) -> tuple[int, int, int]:
        """What tells earlier from later, across partitions as far as their servers' clocks agree."""
        return (*entry_ids.parse(self.entry_id), self.partition)


@dataclass(frozen=True)
class Page:
    """Entries that were read together; `bytes` is what Redis read for it, returned or not."""

    entries: Sequence[Entry]
    bytes: int


@dataclass(frozen=True)
class Part:
    """How much to read of a stream at once, and of each entry.

    Attributes:
        names: only these fields; none: all.
        longest: only so many bytes of a value; 0: all.
        entries: the most entries of a page.
        bytes: no further entry is read into a page that has so many; the last one may exceed it.
    """

    names: Sequence[str] = ()
    longest: int = 0
    entries: int = MOST_ENTRIES
    bytes: int = MOST_BYTES


WHOLE = Part()
IDS = Part(NOTHING, bytes=MOST_BYTES_READ)


def pages(
    client: "redis.Redis",
    stream: str,
    start: str,
    stop: str,
    *,
    part: Part = WHOLE,
    newest_first: bool = False,
    number: int = 0,
) -> Iterator[Page]:
    """Yields a range of a stream, page by page; holds one page at a time.

    Args:
        client: one that decodes responses.
        stream: its key.
        start: where to begin, as XRANGE (or XREVRANGE, if the newest come first) takes it.
        stop: where to end, likewise.
        part: how much to read of it.
        newest_first: in which direction to read.
        number: said of each entry as its partition.

    Raises:
        redis.RedisError: Redis did not answer, or the key is no stream.
    """
    while start != f"({entry_ids.LAST}":
        words = page_words(stream, start, stop, part, newest_first=newest_first)
        page = page_of(client.execute_command(*words), number)  # type: ignore[no-untyped-call]
        if not page.entries:
            return
        yield page
        start = f"({page.entries[-1].entry_id}"


def page_words(
    stream: str, start: str, stop: str, part: Part, *, newest_first: bool = False
) -> list[Any]:
    """The command that reads one page, for `page_of`; by itself so that a pipeline can send several."""
    command = "XREVRANGE" if newest_first else "XRANGE"
    bounds = (part.entries, part.bytes, part.longest)
    # Not by its digest: teaching a server a script is a right that few users have.
    return ["EVAL", _PAGE, 1, stream, command, start, stop, *bounds, *part.names]


def page_of(reply: Any, number: int) -> Page:
    """Makes a page of what the command of `page_words` returned."""
    read, entries = reply
    found = [
        Entry(entry_id, _paired(fields), number, _paired(cut)) for entry_id, fields, cut in entries
    ]
    return Page(found, int(read))


def stream_info(client: "redis.Redis", stream: str) -> dict[str, Any] | None:
    """What Redis says of a stream, its first and last entry by their ids alone; None if it is not there.

    Raises:
        redis.RedisError: Redis did not answer, or the key is no stream.
    """
    try:
        found: Any = client.eval(_INFO, 1, stream)
    except redis.ResponseError as error:
        if "no such key" in str(error):
            return None
        raise
    return _paired(found)


def _paired(flat: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
