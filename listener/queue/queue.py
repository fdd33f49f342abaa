"""Keeps each message, in Redis if it confirms in time, else in the spool."""

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

# On top of ACK_BUDGET_MS: together, at the defaults, below the two seconds within which the provider
# has been seen to try again.
SPOOL_BUDGET_S = 0.8
# Where Redis is known to be down, the spool has nearly all of the two seconds: a message that waits for
# a slow disk is kept, one that is answered 503 is lost.
SPOOL_ALONE_S = 1.6
# Nobody waits for what is moved from the spool, so a write may take so many times ACK_BUDGET_MS there, but not
# so long that whoever stops the service has to wait.
PATIENCE = 4
MOST_PATIENT_S = 4.0
# A check looks at so many partitions, the next one at the next.
CHECKED_AT_ONCE = 8

StoredIn = Literal["redis", "spool"]


class PutResult(NamedTuple):
    """A message is kept: whether it was there already, and where it is."""

    duplicate: bool
    stored_in: StoredIn


class MessageQueue(Protocol):
    """Where the endpoint puts messages. Every method raises QueueUnavailableError in time."""

    def put(self, message: Message) -> PutResult:
        """Keeps a message and returns only once it is kept."""

    def quarantine(self, data: str, *, reason: str, arrived: datetime) -> None:
        """Keeps what was refused, once, in a bounded stream."""

    def check(self) -> StoredIn:
        """Says where a message would be kept now."""

    def close(self) -> None:
        """Lets go of connections and files."""


class _Detour:
    """Takes a message to the spool once, whichever thread finds first that it has to go there."""

    __slots__ = ("_message", "_spool", "_ticket")

    def __init__(self, spool: Spool, message: Message) -> None:
        self._spool = spool
        self._message = message
        self._ticket: Ticket | None = None

    def begin(self) -> None:
        """Enqueues the message; the second time nothing."""
        if self._ticket is None:
            self._ticket = self._spool.enqueue(self._message)

    def end(self, timeout_s: float) -> bool:
        """Returns once the message is journalled, or raises, as `Spool.put` does."""
        ticket = self._ticket or self._spool.enqueue(self._message)
        return self._spool.wait(ticket, timeout_s)


class DurableQueue:
    """The queue: Redis with the spool behind it. One for each process; threads share it.

    Guaranteed: after `put` returned, the message is in Redis, confirmed as QUEUE_DURABILITY asks, or
    in the spool, synced to the disk, from where the drainer moves it to Redis. The fingerprint makes
    it harmless if it is in both.
    """

    def __init__(self, settings: Settings) -> None:
        """Connects to nothing and opens nothing yet. Without SPOOL_DIR there is no spool."""
        self._outages = DownPartitions()
        outages = self._outages if settings.spool.folder else None
        self._writer = RedisWriter(settings, outages=outages)
        self._retention = Retention(settings)
        self._spool: Spool | None = None
        if settings.spool.folder:
            self._spool = Spool(settings.spool.folder, settings.spool.max_bytes)
            budget_s = min(PATIENCE * self._writer.budget_s, MOST_PATIENT_S)
            self._mover = RedisWriter(settings, budget_s=budget_s)
            self._drainer = Drainer(self._writer, self._spool, self._outages, mover=self._mover)
        self._to_check = cycle(range(settings.queue.partitions))
        self._checked_at_once = min(CHECKED_AT_ONCE, settings.queue.partitions)

    def start(self) -> None:
        """Starts the trimming and, where there is a spool, the drainer: in the worker, after its fork."""
        self._retention.start()
        if self._spool:
            self._drainer.start()

    def put(self, message: Message) -> PutResult:
        """Keeps a message.

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
        except MessageRefusedError as problem:
            # No outage: the others go on to Redis.
            refused = problem
        except QueueUnavailableError:
            # An outage: the writer began the detour, in the message's turn.
            pass
        left_s = max(began + SPOOL_ALONE_S - time.monotonic(), SPOOL_BUDGET_S)
        if refused is None or not refused.certain:
            # The drainer, which has more time, finds out whether Redis would refuse it.
            duplicate = detour.end(left_s)
        else:
            duplicate = self._spool.put_aside(message, refused.detail, left_s)
            if not duplicate:
                log.error("message set aside", id=message.id, detail=refused.detail)
        metrics.count(metrics.SPOOLED, by=not duplicate)
        return PutResult(duplicate, "spool")

    def quarantine(self, data: str, *, reason: str, arrived: datetime) -> None:
        """Keeps a refused body in Redis; there is no spool for those.

        Raises:
            QueueUnavailableError: Redis did not confirm it, or is known to be down.
        """
        if self._spool and 0 in self._outages.down:
            raise QueueUnavailableError("redis is known to be down")
        self._writer.quarantine(data, reason=reason, arrived=arrived)

    def check(self) -> StoredIn:
        """Says where a message would be kept now.

        Raises:
            QueueUnavailableError: neither in Redis nor in the spool.
        """
        if self._spool is None:
            for partition in islice(self._to_check, self._checked_at_once):
                self._writer.check(partition)
            return "redis"
        return self._check_with(self._spool)

    def _check_with(self, spool: Spool) -> StoredIn:
        for partition in islice(self._to_check, self._checked_at_once):
            if not self._outages.down:
                try:
                    self._writer.check(partition)
                except QueueUnavailableError as problem:
                    self._writer.give_up(partition, problem)
        if not self._outages.down:
            return "redis"
        spool.check()
        return "spool"

    def close(self) -> None:
        """Stops the threads, and closes this process's connections and its journal."""
        self._retention.stop()
        if self._spool:
            self._drainer.stop()
            self._outages.settle(at_once=True)
            self._spool.close()
            self._mover.close()
        self._writer.close()
