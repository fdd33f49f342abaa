"""Searches the queue backwards, from the newest message, in steps that neither Redis nor this process is long busy with.

Nothing indexes devices or upgrades, so a search reads message by message. `search.lua` reads a step and
returns what may be wanted; this module decides, merges the partitions by time, and stops at the first
of its limits. It says where it stopped, so that another search continues there.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import redis

from listener import entry_ids
from listener.inspection.search.conditions import Position, Wanted
from listener.inspection.stream_entry import StreamEntry
from listener.queue.keys import Partition
from listener.redis_client.script import EvalScript, Script

# A step: Redis serves no other client meanwhile, so messages that arrive wait for its end.
STEP_ENTRIES = 100
STEP_BYTES = 2**20
# A message with a longer value is not parsed: its text decides.
MAX_VALUE_BYTES = 2**17
# After so much text this process serves what else there is.
PAUSE_BYTES = 2**14
FIELDS = ("id", "time", "kind", "account", "subject", "data")

_SCRIPT = Script.load("listener.inspection.search", "search.lua").text


@dataclass(frozen=True)
class Limits:
    """What one search does at most; the first that is reached ends it.

    A step more is read than they say, and a page of matches is cut to `matches`.
    """

    matches: int = 50
    entries: int = 200_000
    bytes: int = 2**29
    seconds: float = 0.6


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        entries: the newest first; of long values only the beginning.
        read: the number of messages that it looked at.
        stopped_at: where the next search continues; None: there is nothing older.
    """

    entries: Sequence[StreamEntry]
    read: int
    stopped_at: Position | None


class _Stream:
    """One partition's stream, and how far it was read."""

    def __init__(self, partition: Partition, before: Position | None) -> None:
        self.partition = partition
        self.start = before.start_in(partition.number) if before else "+"
        self.reached = before or Position(entry_ids.MAX_PART, entry_ids.MAX_PART, partition.number)
        self.is_begun = False
        # Redis refuses a range that ends before the first id.
        self.is_read_up = self.start == f"({entry_ids.FIRST}"


class BackwardSearch:
    """Searches that share this process, and so take turns: however many pages are open, Redis serves one step at a time.

    Args:
        clock: monotonic seconds.
        pause: lets this process do what else there is.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[], None] = lambda: time.sleep(0),
    ) -> None:
        self._clock = clock
        self._pause = pause
        self._turn: AbstractContextManager[Any] = threading.Lock()

    def run(
        self,
        client: "redis.Redis",
        partitions: Sequence[Partition],
        wanted: Wanted,
        *,
        before: Position | None = None,
        limits: Limits | None = None,
        fields: Sequence[str] = FIELDS,
    ) -> SearchResult:
        """Searches from a position, or from the newest message, back to the first limit.

        The entries have the given fields, among which must be those that `wanted` decides by.

        Guaranteed: searches that continue each other return each entry once, in one order, newest first.

        Raises:
            redis.RedisError: Redis did not answer.
        """
        limits = limits or Limits()
        deadline = self._clock() + limits.seconds
        streams = [_Stream(partition, before) for partition in partitions]
        script = EvalScript(client, _SCRIPT)
        found: list[StreamEntry] = []
        entries = size = 0
        while open_streams := [stream for stream in streams if not stream.is_read_up]:
            floor = max(stream.reached for stream in open_streams)
            is_over = self._clock() >= deadline or entries >= limits.entries or size >= limits.bytes
            # Before that the next search would begin where this one did.
            is_further = all(stream.is_begun for stream in open_streams)
            is_full = len(found) >= limits.matches and _count(found, floor) >= limits.matches
            if (is_over and is_further) or is_full:
                return _result(found, entries, floor, limits.matches)
            # The partition that is the least far back, so that all get equally far.
            stream = next(stream for stream in open_streams if stream.reached == floor)
            with self._turn:
                step_entries, step_bytes, last, rows = self._read(script, stream, wanted, fields)
            self._pause()
            entries, size = entries + step_entries, size + step_bytes
            found += self._wanted(rows, stream.partition.number, wanted)
            stream.is_begun, stream.is_read_up = True, not last
            if last:
                stream.start = f"({last}"
                stream.reached = Position(*entry_ids.parse(last), stream.partition.number)
        return _result(found, entries, None, limits.matches)

    def _read(
        self, script: EvalScript, stream: _Stream, wanted: Wanted, fields: Sequence[str]
    ) -> Any:
        limits = (STEP_ENTRIES, STEP_BYTES, MAX_VALUE_BYTES)
        arguments = (stream.start, wanted.oldest, *limits, *wanted.arguments(), *fields)
        return script(keys=[stream.partition.messages], args=arguments)

    def _wanted(self, rows: Any, partition: int, wanted: Wanted) -> Iterator[StreamEntry]:
        for entry_id, fields, cut, by_text in rows:
            entry = StreamEntry(entry_id, _paired(fields), partition, _paired(cut))
            if wanted.matches(entry, by_text=bool(by_text)):
                yield entry
            if len(entry.fields.get("data", "")) > PAUSE_BYTES:
                self._pause()


def _count(entries: Sequence[StreamEntry], floor: Position) -> int:
    return sum(Position.of(entry) >= floor for entry in entries)


def _result(
    found: list[StreamEntry], read: int, floor: Position | None, max_matches: int
) -> SearchResult:
    """What is above the floor: further down, other partitions may have more. Below it the next search looks again."""
    entries = sorted(found, key=lambda entry: entry.order, reverse=True)
    if floor:
        entries = [entry for entry in entries if Position.of(entry) >= floor]
    if len(entries) > max_matches:
        entries = entries[:max_matches]
        floor = Position.of(entries[-1])
    return SearchResult(entries, read, floor)


def _paired(flat: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
