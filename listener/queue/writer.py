"""The queue's writing side: puts messages into their streams, durably as asked for, and once."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha1
from importlib.resources import files
from typing import Any

import redis
from redis.exceptions import NoScriptError

from listener import metrics
from listener.errors import QueueUnavailableError
from listener.messages import Message, fingerprint, timestamp
from listener.queue import arrivals
from listener.queue.commit import GroupCommit
from listener.queue.confirmed import Confirmed
from listener.queue.connection import connect
from listener.queue.earlier import remember
from listener.queue.keys import Partition, every_partition, partition_of
from listener.settings import Settings

READY_TTL_MS = 1000
# Bounds of one script call: Redis serves nobody else while it runs.
MOST_MESSAGES = 256
MOST_BYTES = 4 * 2**20


@dataclass(frozen=True)
class Receipt:
    """A message is kept: its entry in the stream, and whether it was there already."""

    entry_id: str
    duplicate: bool


class RedisWriter:
    """Writes to Redis Streams. One for each process; threads share it.

    Messages that arrive while a write is under way go out together in the next: one script call for
    each partition, one round trip.

    Guaranteed: after `put` returned, Redis has confirmed the entry as QUEUE_DURABILITY asks, and no
    other entry with the same fingerprint was added within the de-duplication window, however many
    processes write. Not guaranteed: that nothing was written when `put` raised.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        """Connects to nothing yet; the clock counts seconds since 1970."""
        self._settings = settings
        self._clock = clock
        self.budget_s = settings.ack_budget_ms / 1000
        self._redis = connect(settings.redis_url, timeout_s=self.budget_s, name="fota-listener")
        self._script = files("listener.queue").joinpath("enqueue.lua").read_text()
        self._sha = sha1(self._script.encode(), usedforsecurity=False).hexdigest()
        self._confirmed = Confirmed(
            self._redis, settings.queue_durability, self.budget_s, self._partitions()
        )
        self._lanes = [self._lane(where) for where in self._partitions()]

    def put(self, message: Message) -> Receipt:
        """Adds the message to the stream of its partition, unless it is there.

        Raises:
            QueueUnavailableError: Redis did not confirm it; it may be there all the same.
        """
        lane = self._lanes[self.partition_of(message).number]
        try:
            return lane.submit(message, self.budget_s)
        except (redis.RedisError, TimeoutError, InterruptedError) as error:
            raise _unavailable(error) from error

    def put_all(self, partition: int, messages: Sequence[Message]) -> None:
        """Adds messages of one partition, in their order, as `put` would, or would have long ago.

        Raises:
            QueueUnavailableError: Redis did not confirm them; they may be there all the same.
        """
        where, window_s = self._partitions()[partition], self._settings.dedupe_window_s
        try:
            remember(self._redis, where, messages, window_s, datetime.now(UTC))
            self._add(where, messages)
        except redis.RedisError as error:
            raise _unavailable(error) from error

    def partition_of(self, message: Message) -> Partition:
        """Where a message goes."""
        settings = self._settings
        return partition_of(message, settings.queue_namespace, settings.queue_partitions)

    def quarantine(self, data: str, *, reason: str, arrived: datetime) -> None:
        """Adds a refused body, credentials removed before, to the quarantine.

        The same body for the same reason is kept once within the de-duplication window; beyond
        `QUARANTINE_MAX_LENGTH` the oldest are dropped.

        Raises:
            QueueUnavailableError: Redis did not confirm it.
        """
        where = self._partitions()[0]
        entry = ["reason", reason, "data", data, "time", timestamp(arrived)]
        seen = where.seen_refused(fingerprint(f"{reason}\0{data}".encode()))
        bound = self._settings.quarantine_max_length
        try:
            self._run(where, where.quarantine, [seen], bound, [(arrivals.QUARANTINED, entry)])
        except redis.RedisError as error:
            raise _unavailable(error) from error

    def check(self, partition: int = 0) -> None:
        """Writes a key that expires at once: only a write shows that writing is possible.

        Raises:
            QueueUnavailableError: Redis is down, loading, read-only, out of memory, … or cannot
                confirm as QUEUE_DURABILITY asks, or the stream's key holds something else.
        """
        where = self._partitions()[partition]
        try:
            self._confirmed.send(where, "SET", where.ready, "1", "PX", READY_TTL_MS)
            self._redis.xlen(where.messages)
        except redis.RedisError as error:
            raise _unavailable(error) from error

    def close(self) -> None:
        """Closes this process's connections, once what was put is written."""
        for lane in self._lanes:
            lane.close()
        self._redis.close()

    def _partitions(self) -> list[Partition]:
        return every_partition(self._settings.queue_namespace, self._settings.queue_partitions)

    def _lane(self, where: Partition) -> GroupCommit[Message, Receipt]:
        return GroupCommit(
            lambda group: self._commit(where, group),
            size=lambda message: len(message.data),
            most_items=MOST_MESSAGES,
            most_bytes=MOST_BYTES,
        )

    def _commit(self, where: Partition, group: Sequence[Message]) -> list[Receipt]:
        metrics.observe(metrics.COMMIT, len(group))
        return self._add(where, group)

    def _add(self, where: Partition, group: Sequence[Message]) -> list[Receipt]:
        seen = [where.seen(message.id) for message in group]
        entries = [
            (message.kind, [part for pair in message.fields().items() for part in pair])
            for message in group
        ]
        bound = self._settings.queue_max_length
        replies = self._run(where, where.messages, seen, bound, entries)
        pairs = zip(replies[::2], replies[1::2], strict=True)
        return [Receipt(entry_id.decode(), duplicate=bool(known)) for entry_id, known in pairs]

    def _run(
        self,
        where: Partition,
        stream: str,
        seen: Sequence[str],
        bound: int,
        entries: Sequence[tuple[str, Sequence[Any]]],
    ) -> Any:
        """Calls the script; an entry comes with what it is counted as."""
        now = self._clock()
        keys = [stream, where.arrived(arrivals.hour_of(now)), *seen]
        words = [len(keys), *keys, self._settings.dedupe_window_s, bound, arrivals.KEPT_S]
        for kind, entry in entries:
            words += [arrivals.tally(now, kind), len(entry), *entry]
        try:
            return self._confirmed.send(where, "EVALSHA", self._sha, *words)
        except NoScriptError:
            # A new or restarted server: it learns the script now.
            return self._confirmed.send(where, "EVAL", self._script, *words)


def _unavailable(error: Exception) -> QueueUnavailableError:
    return QueueUnavailableError(f"{type(error).__name__}: {error}"[:300])
