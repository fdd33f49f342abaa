"""The queue: stores each message in Redis, or in the spool when Redis does not confirm it in time."""

import time
from datetime import datetime
from itertools import cycle, islice
from typing import Literal, NamedTuple, Protocol

import structlog

from listener import metrics
from listener.errors import MessageRefusedError, QueueUnavailableError
from listener.messages.message import Message
from listener.queue.down_partitions import DownPartitions
from listener.queue.drainer import Drainer
from listener.queue.retention import Retention
from listener.queue.writer import RedisWriter
from listener.settings.settings import Settings
from listener.spool.spool import Spool, Ticket

log = structlog.get_logger("listener.queue")

# On top of ACK_BUDGET_MS. Together, at the defaults, less than the two seconds after which the provider
# was observed to try again.
SPOOL_BUDGET_S = 0.8
# Where Redis is known to be down, the spool has nearly all of the two seconds: a message that waits for
# a slow disk is kept, one that is answered 503 is lost.
SPOOL_ALONE_S = 1.6
# No request waits for a message that is moved from the spool, so a write may take this multiple of
# ACK_BUDGET_MS there, within a bound, because stopping the service waits for it.
DRAIN_BUDGET_FACTOR = 4
MAX_DRAIN_BUDGET_S = 4.0
# Each check asks this many partitions, and the next check the following ones.
PARTITIONS_PER_CHECK = 8

StoredIn = Literal["redis", "spool"]


class PutResult(NamedTuple):
    """A message is stored: whether it was there already, and where it is."""

    duplicate: bool
    stored_in: StoredIn


class MessageQueue(Protocol):
    """Where the receiver puts messages. Every method raises QueueUnavailableError in time."""

    def put(self, message: Message) -> PutResult:
        """Stores a message, and returns only once it is durable."""

    def quarantine(self, data: str, *, reason: str, arrived: datetime) -> None:
        """Stores a refused body, once, in a bounded stream."""

    def check(self) -> StoredIn:
        """Returns where a message would be stored now."""

    def close(self) -> None:
        """Closes connections and files."""


class _Detour:
    """The way of one message to the spool, begun once, by whichever thread notices the outage first."""

    __slots__ = ("_message", "_spool", "_ticket")

    def __init__(self, spool: Spool, message: Message) -> None:
        self._spool = spool
        self._message = message
        self._ticket: Ticket | None = None

    def begin(self) -> None:
        """Enqueues the message; the second call does nothing."""
        if self._ticket is None:
            self._ticket = self._spool.enqueue(self._message)

    def end(self, timeout_s: float) -> bool:
        """Returns once the message is journalled, or raises, as `Spool.put` does."""
        ticket = self._ticket or self._spool.enqueue(self._message)
        return self._spool.wait(ticket, timeout_s)


class DurableQueue:
    """The queue: Redis with the spool behind it. One for each process; threads share it.

    Guaranteed: after `put` returned, the message is in Redis, confirmed as QUEUE_DURABILITY asks, or
    in the spool, synced to the disk, from where the drainer moves it to Redis. If it is in both, its
    fingerprint keeps it from being added twice.
    """

    def __init__(self, settings: Settings) -> None:
        """Connects to nothing and opens nothing yet. Without SPOOL_DIR there is no spool."""
        self._down_partitions = DownPartitions()
        has_spool = bool(settings.spool.folder)
        self._writer = RedisWriter(
            settings, down_partitions=self._down_partitions if has_spool else None
        )
        self._retention = Retention(settings)
        self._spool: Spool | None = None
        if settings.spool.folder:
            self._spool = Spool(settings.spool.folder, settings.spool.max_bytes)
            budget_s = min(DRAIN_BUDGET_FACTOR * self._writer.budget_s, MAX_DRAIN_BUDGET_S)
            self._drainer = Drainer(
                self._spool,
                self._writer,
                RedisWriter(settings, budget_s=budget_s),
                self._down_partitions,
            )
        self._to_check = cycle(range(settings.queue.partitions))
        self._partitions_per_check = min(PARTITIONS_PER_CHECK, settings.queue.partitions)

    def start(self) -> None:
        """Starts retention and, where there is a spool, the drainer: in the worker, after its fork."""
        self._retention.start()
        if self._spool:
            self._drainer.start()

    def put(self, message: Message) -> PutResult:
        """Stores a message.

        Raises:
            QueueUnavailableError: neither Redis nor the spool confirmed it.
        """
        if self._spool is None:
            return PutResult(self._writer.put(message).duplicate, "redis")
        began = time.monotonic()
        detour = _Detour(self._spool, message)
        refused: MessageRefusedError | None = None
        try:
            return PutResult(self._writer.put(message, detour.begin).duplicate, "redis")
        except MessageRefusedError as error:
            # No outage: other messages go on to Redis.
            refused = error
        except QueueUnavailableError:
            # An outage: the writer began the detour, in the message's turn.
            pass
        left_s = max(began + SPOOL_ALONE_S - time.monotonic(), SPOOL_BUDGET_S)
        if refused is None or not refused.certain:
            # The drainer, which has more time, will see whether Redis refuses it.
            duplicate = detour.end(left_s)
        else:
            duplicate = self._spool.put_aside(message, refused.detail, left_s)
            if not duplicate:
                log.error("message set aside", id=message.id, detail=refused.detail)
        metrics.count(metrics.SPOOLED, by=not duplicate)
        return PutResult(duplicate, "spool")

    def quarantine(self, data: str, *, reason: str, arrived: datetime) -> None:
        """Stores a refused body in Redis; the spool does not take these.

        Raises:
            QueueUnavailableError: Redis did not confirm it, or is known to be down.
        """
        if self._spool and 0 in self._down_partitions.numbers:
            raise QueueUnavailableError("redis is known to be down")
        self._writer.quarantine(data, reason=reason, arrived=arrived)

    def check(self) -> StoredIn:
        """Returns where a message would be stored now.

        Raises:
            QueueUnavailableError: neither in Redis nor in the spool.
        """
        for partition in islice(self._to_check, self._partitions_per_check):
            if self._spool and self._down_partitions.numbers:
                break
            try:
                self._writer.check(partition)
            except QueueUnavailableError as error:
                if self._spool is None:
                    raise
                self._writer.give_up(partition, error)
        if self._spool is None or not self._down_partitions.numbers:
            return "redis"
        self._spool.check()
        return "spool"

    def close(self) -> None:
        """Ends the threads and closes this process's connections and its journal; may be called again.

        Returns within the time limits of what is under way: a script call, a batch of the drainer, a sync.
        """
        self._retention.stop()
        if self._spool:
            self._drainer.close()
        # Before the spool: a message that Redis does not take any more still has to go there.
        self._writer.close()
        if self._spool:
            self._spool.close()
            self._down_partitions.log_ends(at_once=True)
