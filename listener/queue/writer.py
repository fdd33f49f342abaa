"""The queue's writing side: puts a message into its stream, durably as Redis is set, and once."""

from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Protocol

import redis

from listener.errors import QueueUnavailableError
from listener.messages import Message, fingerprint, timestamp
from listener.queue.connection import connect
from listener.queue.keys import Partition, partition_of
from listener.settings import Settings

READY_TTL_MS = 1000


@dataclass(frozen=True)
class Receipt:
    """A message is kept: its entry in the stream, and whether it was there already."""

    entry_id: str
    duplicate: bool


class Queue(Protocol):
    """Where the endpoint puts messages. Every method raises QueueUnavailableError in time."""

    def put(self, message: Message) -> Receipt:
        """Keeps a message; returns only once it is kept."""

    def quarantine(self, data: str, *, reason: str, arrived: datetime) -> None:
        """Keeps what was refused, once, in a bounded stream."""

    def check(self) -> None:
        """Returns if a message could be kept now."""

    def close(self) -> None:
        """Lets go of connections."""


class RedisQueue:
    """Writes to Redis Streams. One for each process; threads may share it.

    Guaranteed: after `put` returned, Redis has confirmed the entry, and no other entry with the same
    fingerprint was added within the de-duplication window, however many processes write. How durable
    a confirmed entry is, is Redis's own setting (appendonly, appendfsync). Not guaranteed: that
    nothing was written when `put` raised.
    """

    def __init__(self, settings: Settings) -> None:
        """Connects to nothing yet."""
        self._settings = settings
        self._redis = connect(
            settings.redis_url, timeout_s=settings.ack_budget_ms / 1000, name="fota-listener"
        )
        source = files("listener.queue").joinpath("enqueue.lua").read_text()
        self._enqueue = self._redis.register_script(source)

    def put(self, message: Message) -> Receipt:
        """Adds the message to the stream of its partition, unless it is there.

        Raises:
            QueueUnavailableError: Redis did not confirm it; it may be there all the same.
        """
        where = partition_of(
            message, self._settings.queue_namespace, self._settings.queue_partitions
        )
        return self._add(where.messages, where.seen(message.id), message.fields())

    def quarantine(self, data: str, *, reason: str, arrived: datetime) -> None:
        """Adds a refused body, credentials removed before, to the quarantine.

        The same body for the same reason is kept once within the de-duplication window; beyond
        `QUARANTINE_MAX_LENGTH` the oldest are dropped.

        Raises:
            QueueUnavailableError: Redis did not confirm it.
        """
        where = self._first
        fields: dict[str, str | bytes] = {
            "reason": reason,
            "data": data,
            "time": timestamp(arrived),
        }
        content_id = fingerprint(f"{reason}\0{data}".encode())
        bound = self._settings.quarantine_max_length
        self._add(where.quarantine, where.seen_refused(content_id), fields, bound)

    def check(self) -> None:
        """Writes a key that expires at once: only a write shows that writing is possible.

        Raises:
            QueueUnavailableError: Redis is down, loading, read-only, out of memory, …
        """
        try:
            self._redis.set(self._first.ready, "1", px=READY_TTL_MS)
        except redis.RedisError as error:
            raise _unavailable(error) from error

    def close(self) -> None:
        """Closes this process's connections."""
        self._redis.close()

    @property
    def _first(self) -> Partition:
        return Partition(self._settings.queue_namespace, 0)

    def _add(
        self, stream: str, seen: str, fields: dict[str, str | bytes], bound: int = 0
    ) -> Receipt:
        entry = [part for pair in fields.items() for part in pair]
        try:
            entry_id, known = self._enqueue(
                keys=[stream, seen], args=[self._settings.dedupe_window_s, bound, *entry]
            )
        except redis.RedisError as error:
            raise _unavailable(error) from error
        return Receipt(entry_id.decode(), duplicate=bool(known))


def _unavailable(error: redis.RedisError) -> QueueUnavailableError:
    return QueueUnavailableError(f"{type(error).__name__}: {error}"[:300])
