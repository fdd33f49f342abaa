"""The queue's writing side: puts messages into their streams, durably as asked for, and once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha1
from importlib.resources import files
from typing import Any, Protocol

import redis

from listener.errors import QueueUnavailableError
from listener.messages import Message, fingerprint, timestamp
from listener.queue.commit import GroupCommit
from listener.queue.connection import connect
from listener.queue.keys import Partition, partition_of
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
    """Writes to Redis Streams. One for each process; threads share it.

    Messages that arrive while a write is under way go out together in the next: one script call for
    each partition, one round trip.

    Guaranteed: after `put` returned, Redis has confirmed the entry, and no other entry with the same
    fingerprint was added within the de-duplication window, however many processes write. How durable
    a confirmed entry is, is Redis's own setting (appendonly, appendfsync). Not guaranteed: that
    nothing was written when `put` raised.
    """

    def __init__(self, settings: Settings) -> None:
        """Connects to nothing yet."""
        self._settings = settings
        self._budget_s = settings.ack_budget_ms / 1000
        self._redis = connect(settings.redis_url, timeout_s=self._budget_s, name="fota-listener")
        self._script = files("listener.queue").joinpath("enqueue.lua").read_text()
        self._sha = sha1(self._script.encode(), usedforsecurity=False).hexdigest()
        self._lanes = {
            number: self._lane(Partition(settings.queue_namespace, number))
            for number in range(settings.queue_partitions)
        }

    def put(self, message: Message) -> Receipt:
        """Adds the message to the stream of its partition, unless it is there.

        Raises:
            QueueUnavailableError: Redis did not confirm it; it may be there all the same.
        """
        where = partition_of(
            message, self._settings.queue_namespace, self._settings.queue_partitions
        )
        try:
            return self._lanes[where.number].submit(message, self._budget_s)
        except (redis.RedisError, TimeoutError, InterruptedError) as error:
            raise _unavailable(error) from error

    def quarantine(self, data: str, *, reason: str, arrived: datetime) -> None:
        """Adds a refused body, credentials removed before, to the quarantine.

        The same body for the same reason is kept once within the de-duplication window; beyond
        `QUARANTINE_MAX_LENGTH` the oldest are dropped.

        Raises:
            QueueUnavailableError: Redis did not confirm it.
        """
        where = Partition(self._settings.queue_namespace, 0)
        entry = ["reason", reason, "data", data, "time", timestamp(arrived)]
        seen = where.seen_refused(fingerprint(f"{reason}\0{data}".encode()))
        bound = self._settings.quarantine_max_length
        try:
            self._enqueue([where.quarantine, seen], [bound, len(entry), *entry])
        except redis.RedisError as error:
            raise _unavailable(error) from error

    def check(self) -> None:
        """Writes a key that expires at once: only a write shows that writing is possible.

        Raises:
            QueueUnavailableError: Redis is down, loading, read-only, out of memory, …
        """
        key = Partition(self._settings.queue_namespace, 0).ready
        try:
            self._redis.set(key, "1", px=READY_TTL_MS)
        except redis.RedisError as error:
            raise _unavailable(error) from error

    def close(self) -> None:
        """Closes this process's connections."""
        self._redis.close()

    def _lane(self, where: Partition) -> GroupCommit[Message, Receipt]:
        def write(group: Sequence[Message]) -> list[Receipt]:
            keys = [where.messages, *(where.seen(message.id) for message in group)]
            arguments: list[Any] = [0]
            for message in group:
                entry = [part for pair in message.fields().items() for part in pair]
                arguments += [len(entry), *entry]
            return self._enqueue(keys, arguments)

        return GroupCommit(
            write,
            size=lambda message: len(message.data),
            most_items=MOST_MESSAGES,
            most_bytes=MOST_BYTES,
        )

    def _enqueue(self, keys: list[str], arguments: list[Any]) -> list[Receipt]:
        words = [*keys, self._settings.dedupe_window_s, *arguments]
        try:
            replies: Any = self._redis.evalsha(self._sha, len(keys), *words)
        except redis.exceptions.NoScriptError:
            # A new or restarted server: it learns the script now.
            replies = self._redis.eval(self._script, len(keys), *words)
        pairs = zip(replies[::2], replies[1::2], strict=True)
        return [Receipt(entry_id.decode(), duplicate=bool(known)) for entry_id, known in pairs]


def _unavailable(error: Exception) -> QueueUnavailableError:
    return QueueUnavailableError(f"{type(error).__name__}: {error}"[:300])
