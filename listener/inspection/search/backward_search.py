"""Searches the queue backwards, from the newest message, in steps that neither Redis nor this process is long busy with.

Nothing indexes devices or upgrades, so a search reads message by message. `search.lua` reads a step and
returns what may be wanted; this module decides, and stops at the first of its limits. It says where it
stopped, so that another search continues there.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import redis

from listener.errors import ListenerError
from listener.inspection.search.conditions import Position, Wanted
from listener.inspection.search.walk import PartitionWalk, Walk
from listener.inspection.stream_entry import StreamEntry
from listener.queue.keys import Partition
from listener.redis_client.script import EvalScript, Script

# A step: Redis serves no other client meanwhile, so messages that arrive wait for its end.
STEP_ENTRIES = 100
STEP_BYTES = 2**20
# A message with a longer value is not parsed: its text decides.
MAX_VALUE_BYTES = 2**17
# After so much JSON, about a millisecond's work, this process serves what else there is.
PAUSE_BYTES = 2**13
# How many searches one process runs at a time, and how many seconds a further one waits for its turn.
MAX_RUNNING = 4
MAX_WAIT_S = 2.0
# After a step Redis and this process serve others for as long as it took, but no longer, in seconds.
MAX_REST_S = 0.05
FIELDS = ("id", "time", "kind", "account", "subject", "origin", "data")

_SCRIPT = Script.load("listener.inspection.search", "search.lua").text


class SearchesBusyError(ListenerError):
    """As many searches run as may run at once, and none ended in time."""


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


class BackwardSearch:
    """Searches that share this process, and so take turns: however many run, Redis serves one step at a time.

    Args:
        clock: monotonic seconds.
        pause: lets this process do what else there is.
        rest: waits so many seconds, after a step.
        max_wait_s: how long a search waits while `MAX_RUNNING` others run.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[], None] = lambda: time.sleep(0),
        rest: Callable[[float], None] = time.sleep,
        max_wait_s: float = MAX_WAIT_S,
    ) -> None:
        self._clock = clock
        self._pause = pause
        self._rest = rest
        self._max_wait_s = max_wait_s
        self._turn = threading.Lock()
        self._places = threading.BoundedSemaphore(MAX_RUNNING)

    def run(
        self,
        client: "redis.Redis",
        partitions: Sequence[Partition],
        wanted: Wanted,
        *,
        before: Position | None = None,
        limits: Limits | None = None,
        fields: Sequence[str] = FIELDS,
        take: Callable[[Sequence[StreamEntry]], None] | None = None,
    ) -> SearchResult:
        """Searches from a position, or from the newest message, back to the first limit.

        The entries have the given fields, among which must be those that `wanted` decides by. `take` gets
        them while they are found, in order, and the result has none: for a search of more entries than a
        process should hold at once. `limits.matches` does not count then.

        Guaranteed: searches that continue each other return each entry once, in one order, newest first.

        Raises:
            SearchesBusyError: too many searches run.
            redis.RedisError: Redis did not answer.
        """
        limits = limits or Limits()
        walk = Walk(partitions, before)
        found: list[StreamEntry] = []
        with self._place():
            for step in self._steps(client, walk, wanted, limits, fields):
                (take or found.extend)(step)
                if len(found) >= limits.matches:
                    break
        if len(found) > limits.matches:
            # The next search looks at the others again.
            found = found[: limits.matches]
            return SearchResult(found, walk.read, Position.of(found[-1]))
        return SearchResult(found, walk.read, walk.floor)

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(timeout=self._max_wait_s):
            raise SearchesBusyError(f"{MAX_RUNNING} searches run already")
        try:
            yield
        finally:
            self._places.release()

    def _steps(
        self,
        client: "redis.Redis",
        walk: Walk,
        wanted: Wanted,
        limits: Limits,
        fields: Sequence[str],
    ) -> Iterator[list[StreamEntry]]:
        """The wanted entries of one step after the other, in order, until a limit other than that of matches."""
        deadline = self._clock() + limits.seconds
        script = EvalScript(client, _SCRIPT)
        while partition := walk.next_partition():
            is_over = (
                self._clock() >= deadline
                or walk.read >= limits.entries
                or walk.bytes >= limits.bytes
            )
            # Before every partition was read, the next search would begin where this one did.
            if is_over and walk.is_further:
                return
            with self._turn:
                begun = self._clock()
                read, size, last, rows = _read(script, partition, wanted, fields)
                self._rest(min(self._clock() - begun, MAX_REST_S))
            entries = self._wanted(rows, partition.number, wanted)
            walk.went(partition, read, size, last, entries)
            yield walk.settled()

    def _wanted(self, rows: Any, partition: int, wanted: Wanted) -> Iterator[StreamEntry]:
        parsed = 0
        for entry_id, fields, cut, by_text in rows:
            entry = StreamEntry(entry_id, _paired(fields), partition, _paired(cut))
            if wanted.matches(entry, by_text=bool(by_text)):
                yield entry
            parsed += len(entry.fields.get("data", ""))
            if parsed > PAUSE_BYTES:
                self._pause()
                parsed = 0


def _read(
    script: EvalScript, partition: PartitionWalk, wanted: Wanted, fields: Sequence[str]
) -> Any:
    """The reply of `search.lua`."""
    limits = (STEP_ENTRIES, STEP_BYTES, MAX_VALUE_BYTES)
    arguments = (partition.start, wanted.oldest, *limits, *wanted.arguments(), *fields)
    return script(keys=[partition.stream], args=arguments)


def _paired(flat: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
