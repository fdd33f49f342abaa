"""Writes messages to the stream of their partition, durably and once; enqueue.lua decides what is a duplicate."""

import platform
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
from listener.queue.down_partitions import DownPartitions
from listener.queue.durability import DurableWriter
from listener.queue.fingerprints import FingerprintRestorer, Journal, StringFingerprints
from listener.queue.keys import (
    QUARANTINED,
    Partition,
    every_partition,
    partition_number,
    waiting_spools,
)
from listener.queue.redis_errors import unavailable
from listener.queue.stream_writer import Entry, Receipt, StreamWriter, Target
from listener.redis_client.client import connect
from listener.redis_client.script import Script
from listener.settings.settings import Settings
from listener.times import timestamp

READY_TTL_MS = 1000
# What is sent of an entry besides its fields, roughly.
OVERHEAD_BYTES = 512


class PartialWriteError(QueueUnavailableError):
    """Some of several messages were not stored; `outcomes` has for each its receipt, or its error."""

    def __init__(self, detail: str, outcomes: Sequence[Outcome[Receipt]]) -> None:
        super().__init__(detail)
        self.outcomes = outcomes


class RedisWriter:
    """Writes to Redis Streams. One for each process; threads share it.

    Messages that arrive while a write is under way go out together in the next: one script call for
    each partition, one round trip. The same holds for the quarantine.

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
        down_partitions: DownPartitions | None = None,
    ) -> None:
        """Connects to nothing yet.

        Args:
            settings: where to write, and how.
            clock: seconds since 1970.
            budget_s: what a write may take, in seconds, instead of ACK_BUDGET_MS.
            down_partitions: where failed writes are recorded, and which writes are not tried; None: all
                are tried.
        """
        self._settings = settings
        self._clock = clock
        self.budget_s = budget_s or settings.ack_budget_ms / 1000
        self._redis = connect(settings.queue.url, timeout_s=self.budget_s, name="fota-listener")
        self._script = Script.load("listener.queue", "enqueue.lua")
        self._partitions = every_partition(settings.queue.namespace, settings.queue.partitions)
        self._durable = DurableWriter(
            self._redis, settings.queue.durability, self.budget_s, self._partitions
        )
        self._streams = [self._messages_of(each, down_partitions) for each in self._partitions]
        self._quarantine = self._quarantine_of(self._partitions[0])

    def put(self, message: Message, give_up: Callable[[], None] = lambda: None) -> Receipt:
        """Adds the message to the stream of its partition, unless it is there.

        Args:
            message: what to store.
            give_up: see `stream_writer.Entry`; called before QueueUnavailableError is raised in an outage.

        Raises:
            MessageRefusedError: Redis takes other messages, but not this one.
            QueueUnavailableError: Redis did not confirm it; it may be there all the same.
        """
        partition = self.partition_of(message)
        entry = _entry(partition, message, give_up)
        return self._streams[partition.number].put(entry, self.budget_s)

    def put_all(self, partition: int, messages: Sequence[Message]) -> None:
        """Adds messages of one partition, in their order, as `put` would, and waits longer for each.

        Raises:
            PartialWriteError: some were not confirmed; they may be there all the same.
        """
        entries = [_entry(self._partitions[partition], message) for message in messages]
        outcomes = self._streams[partition].put_all(entries)
        for outcome in outcomes:
            if isinstance(outcome, QueueUnavailableError):
                raise PartialWriteError(outcome.detail, outcomes)

    def partition_of(self, message: Message) -> Partition:
        """The partition that a message belongs to."""
        return self._partitions[partition_number(message, len(self._partitions))]

    def fingerprint_restorer(self, partition: int, journal: Journal) -> FingerprintRestorer:
        """Makes Redis remember again which messages of the journal are in the partition's stream."""
        window_s = self._settings.dedupe_window_s
        return FingerprintRestorer(self._redis, self._partitions[partition], window_s, journal)

    def quarantine(self, data: str, *, reason: str, arrived: datetime) -> None:
        """Adds a refused body, without credentials, to the quarantine; quarantine.lua decides what is a duplicate.

        The same body with the same reason is stored once, as long as its fingerprint is remembered. Of a
        text of more than MAX_BODY_BYTES the beginning is stored, with the size and the SHA-256 of the
        whole. Beyond `QUARANTINE_MAX_LENGTH` entries, or the bytes in quarantine.lua, the oldest are dropped.

        Raises:
            QueueUnavailableError: Redis did not confirm it.
        """
        whole = data.encode()
        # quarantine.lua relies on this order.
        fields: list[str | bytes] = ["reason", reason, "data", whole, "time", timestamp(arrived)]
        if len(whole) > (max_bytes := self._settings.max_body_bytes):
            fields[3] = whole[:max_bytes].decode(errors="ignore")
            fields += ["bytes", str(len(whole)), "sha256", sha256(whole).hexdigest()]
        size = sum(len(part) if part.isascii() else 4 * len(part) for part in fields)
        fingerprints = self._partitions[0].quarantine_fingerprints
        entry = Entry(fingerprints, "", QUARANTINED, lambda: fields, size + OVERHEAD_BYTES)
        self._quarantine.put(entry, self.budget_s)

    def check(self, partition: int = 0) -> None:
        """Checks all that storing a message needs, by a key that expires at once: only a write shows that.

        Raises:
            QueueUnavailableError: Redis is down, loading, read-only, out of memory, …, refuses a command
                that is needed, cannot confirm as QUEUE_DURABILITY asks, or the stream's key holds
                something else.
        """
        keys = self._partitions[partition]
        try:
            self._durable.send(keys, "SET", keys.ready, "1", "PX", READY_TTL_MS)
            required_commands.check(self._redis, keys, self._script)
        except redis.ResponseError as error:
            detail = required_commands.describe_refusal("SET", keys, error)
            raise QueueUnavailableError(detail) from error
        except redis.RedisError as error:
            raise unavailable(error) from error

    def announce_spool(self, is_waiting: bool) -> None:
        """Says to other hosts whether messages wait in this host's spool.

        Raises:
            QueueUnavailableError: Redis did not confirm it.
        """
        key = waiting_spools(self._settings.queue.namespace)
        host = f"{platform.node()}:{self._settings.spool.folder}"
        try:
            if is_waiting:
                self._redis.zadd(key, {host: int(self._clock())})
            else:
                self._redis.zrem(key, host)
        except redis.RedisError as error:
            raise unavailable(error) from error

    def give_up(self, partition: int, problem: QueueUnavailableError) -> None:
        """Begins an outage of a partition that the caller noticed; see `StreamWriter.give_up`."""
        self._streams[partition].give_up(problem)

    def stop(self) -> None:
        """Has `put_all` try nothing more."""
        for stream in self._streams:
            stream.stop()

    def close(self) -> None:
        """Closes this process's connections, once all that was put is written."""
        for stream in (*self._streams, self._quarantine):
            stream.close()
        self._redis.close()

    def _messages_of(
        self, partition: Partition, down_partitions: DownPartitions | None
    ) -> StreamWriter:
        max_length, window_s = self._settings.queue_max_length, self._settings.dedupe_window_s
        return StreamWriter(
            Target(
                partition,
                partition.messages,
                self._script,
                max_length,
                window_s,
                StringFingerprints(self._redis, partition, window_s),
            ),
            self._durable,
            check=partial(self.check, partition.number),
            clock=self._clock,
            observe=partial(metrics.observe, metrics.COMMIT),
            down_partitions=down_partitions,
        )

    def _quarantine_of(self, partition: Partition) -> StreamWriter:
        script = Script.load("listener.queue", "quarantine.lua")
        max_length, window_s = self._settings.quarantine_max_length, self._settings.dedupe_window_s
        return StreamWriter(
            Target(partition, partition.quarantine, script, max_length, window_s),
            self._durable,
            check=self.check,
            clock=self._clock,
        )


def _entry(
    partition: Partition, message: Message, give_up: Callable[[], None] = lambda: None
) -> Entry:
    size = message.size + OVERHEAD_BYTES
    fingerprints = partition.fingerprint_hash(message.id)
    return Entry(fingerprints, message.id, message.kind, message.flat_fields, size, give_up)
