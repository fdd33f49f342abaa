"""The queue's writing side: puts messages into their streams, durably as asked for, and once."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from hashlib import sha256

import redis

from listener import metrics
from listener.errors import QueueUnavailableError
from listener.messages.message import Message
from listener.queue import required_commands
from listener.queue.batches import Outcome
from listener.queue.confirmed import DurableWriter
from listener.queue.down_partitions import DownPartitions
from listener.queue.fingerprints import FingerprintRestorer, Journal
from listener.queue.keys import QUARANTINED, Partition, every_partition, partition_of
from listener.queue.redis_errors import unavailable
from listener.queue.stream_writer import (
    MAX_BATCH_BYTES,
    MAX_BATCH_MESSAGES,
    Entry,
    Receipt,
    StreamWriter,
    Target,
)
from listener.redis_client.client import connect
from listener.redis_client.script import Script
from listener.settings.settings import Settings
from listener.times import timestamp

__all__ = ["MAX_BATCH_BYTES", "MAX_BATCH_MESSAGES", "PartialWriteError", "Receipt", "RedisWriter"]

READY_TTL_MS = 1000
# What is sent of an entry besides its fields, roughly.
OVERHEAD_BYTES = 512


class PartialWriteError(QueueUnavailableError):
    """Of several messages some were not kept; `outcomes` has for each its receipt, or why there is none."""

    def __init__(self, detail: str, outcomes: Sequence[Outcome[Receipt]]) -> None:
        """Takes one of the reasons, and all outcomes in the order of the messages."""
        super().__init__(detail)
        self.outcomes = outcomes


class RedisWriter:
    """Writes to Redis Streams. One for each process; threads share it.

    Messages that arrive while a write is under way go out together in the next: one script call for
    each partition, one round trip. So does what goes to the quarantine.

    Guaranteed: after `put` returned, Redis has confirmed the entry as QUEUE_DURABILITY asks, and no
    other entry with the same fingerprint was added within the de-duplication window, however many
    processes write. Not guaranteed: that nothing was written when `put` raised.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], float] = time.time,
        *,
        budget_s: float | None = None,
        outages: DownPartitions | None = None,
    ) -> None:
        """Connects to nothing yet.

        Args:
            settings: where to write, and how.
            clock: seconds since 1970.
            budget_s: what a write may take, in seconds, instead of ACK_BUDGET_MS.
            outages: where failed writes are noted, and which writes are not tried; None: nowhere.
        """
        self._settings = settings
        self._clock = clock
        self.budget_s = budget_s or settings.ack_budget_ms / 1000
        self._redis = connect(settings.queue.url, timeout_s=self.budget_s, name="fota-listener")
        self._script = Script.load("listener.queue", "enqueue.lua")
        self._partitions = every_partition(settings.queue.namespace, settings.queue.partitions)
        self._confirmed = DurableWriter(
            self._redis, settings.queue.durability, self.budget_s, self._partitions
        )
        bound = settings.queue_max_length
        observe = partial(metrics.observe, metrics.COMMIT)
        self._streams = [
            self._stream_writer(
                Target(where, where.messages, bound, settings.dedupe_window_s),
                self._script,
                observe,
                outages,
            )
            for where in self._partitions
        ]
        first = self._partitions[0]
        self._refused = self._stream_writer(
            Target(
                first, first.quarantine, settings.quarantine_max_length, settings.dedupe_window_s
            ),
            Script.load("listener.queue", "quarantine.lua"),
            lambda _: None,
        )

    def put(self, message: Message, give_up: Callable[[], None] = lambda: None) -> Receipt:
        """Adds the message to the stream of its partition, unless it is there.

        Args:
            message: what to keep.
            give_up: see `lane.Entry`; called before QueueUnavailableError is raised in an outage.

        Raises:
            MessageRefusedError: Redis takes others, but not this one.
            QueueUnavailableError: Redis did not confirm it; it may be there all the same.
        """
        where = self.partition_of(message)
        entry = _entry(where, message)._replace(give_up=give_up)
        return self._streams[where.number].put(entry, self.budget_s)

    def put_all(self, partition: int, messages: Sequence[Message]) -> None:
        """Adds messages of one partition, in their order, as `put` would, and waits longer for each.

        Raises:
            PartialWriteError: some were not confirmed; they may be there all the same.
        """
        where = self._partitions[partition]
        entries = [_entry(where, message) for message in messages]
        outcomes = self._streams[partition].put_all(entries)
        for outcome in outcomes:
            if isinstance(outcome, QueueUnavailableError):
                raise PartialWriteError(outcome.detail, outcomes)

    def partition_of(self, message: Message) -> Partition:
        """Where a message goes."""
        settings = self._settings
        return partition_of(message, settings.queue.namespace, settings.queue.partitions)

    def fingerprint_restorer(self, partition: int, journalled: Journal) -> FingerprintRestorer:
        """What finds journalled messages that are in the partition's stream already."""
        where, window_s = self._partitions[partition], self._settings.dedupe_window_s
        return FingerprintRestorer(self._redis, where, window_s, journalled)

    def quarantine(self, data: str, *, reason: str, arrived: datetime) -> None:
        """Adds a refused body, credentials removed before, to the quarantine.

        The same body for the same reason is kept once, as long as its fingerprint is remembered. Of a
        text of more than MAX_BODY_BYTES the beginning is kept, with the size and the SHA-256 of all of
        it. Beyond `QUARANTINE_MAX_LENGTH` entries, or the bytes in quarantine.lua, the oldest are dropped.

        Raises:
            QueueUnavailableError: Redis did not confirm it.
        """
        whole = data.encode()
        # In this order: see quarantine.lua.
        fields: list[str | bytes] = ["reason", reason, "data", whole, "time", timestamp(arrived)]
        if len(whole) > (most := self._settings.max_body_bytes):
            fields[3] = whole[:most].decode(errors="ignore")
            fields += ["bytes", str(len(whole)), "sha256", sha256(whole).hexdigest()]
        size = sum(len(part) if part.isascii() else 4 * len(part) for part in fields)
        seen = self._partitions[0].quarantine_fingerprints
        entry = Entry(seen, QUARANTINED, lambda: fields, size + OVERHEAD_BYTES)
        self._refused.put(entry, self.budget_s)

    def check(self, partition: int = 0) -> None:
        """Asks for all that keeping a message needs, and writes a key that expires at once.

        Only a write shows that writing is possible.

        Raises:
            QueueUnavailableError: Redis is down, loading, read-only, out of memory, …, refuses a command
                that is needed, cannot confirm as QUEUE_DURABILITY asks, or the stream's key holds
                something else.
        """
        where = self._partitions[partition]
        try:
            self._confirmed.send(where, "SET", where.ready, "1", "PX", READY_TTL_MS)
            required_commands.check(self._redis, where, self._script)
        except redis.ResponseError as error:
            raise QueueUnavailableError(
                required_commands.describe_refusal("SET", where, error)
            ) from error
        except redis.RedisError as error:
            raise unavailable(error) from error

    def give_up(self, partition: int, problem: QueueUnavailableError) -> None:
        """Begins an outage of a partition that somebody else noticed; see `StreamWriter.give_up`."""
        self._streams[partition].give_up(problem)

    def stop(self) -> None:
        """Has `put_all` try nothing more."""
        for lane in self._streams:
            lane.stop()

    def close(self) -> None:
        """Closes this process's connections, once what was put is written."""
        for lane in (*self._streams, self._refused):
            lane.close()
        self._redis.close()

    def _stream_writer(
        self,
        target: Target,
        script: Script,
        observe: Callable[[int], None],
        outages: DownPartitions | None = None,
    ) -> StreamWriter:
        return StreamWriter(
            target,
            self._confirmed,
            script,
            check=partial(self.check, target.where.number),
            clock=self._clock,
            observe=observe,
            outages=outages,
        )


def _entry(where: Partition, message: Message) -> Entry:
    return Entry(
        where.fingerprint(message.id),
        message.kind,
        message.flat_fields,
        message.size + OVERHEAD_BYTES,
    )
