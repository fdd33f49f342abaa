"""What settling a delivery needs of its run, so that a run in memory can stand in for one on Redis."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from listener.consumer.deliveries.delivery import DeadReason, Delivery
from listener.consumer.deliveries.in_flight import InFlight
from listener.consumer.handlers.event_loop import EventLoop
from listener.consumer.handlers.overdue import RunningHandlers
from listener.consumer.handlers.registry import Handlers, RegisteredHandler
from listener.consumer.options import Backoff, Observer, Options
from listener.consumer.outages import Outages


class PartitionGroup(Protocol):
    """A consumer group in one partition. Every method may raise redis.RedisError."""

    def acknowledge(self, entry_ids: Sequence[bytes]) -> None:
        """Acknowledges entries, whichever consumer holds them."""

    def renew(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Confirms what is ours; returns what is not."""

    def record_delivery(self, delivery: Delivery) -> bool:
        """Counts the next delivery; returns whether the entry is still ours."""

    def dead_letter(self, delivery: Delivery, reason: DeadReason) -> int:
        """Moves an entry to the dead stream; 1: done, 0: it was not ours, -1: its data is deleted."""


@dataclass(frozen=True, kw_only=True)
class DeliveryContext:
    """One run of a consumer, as far as it handles and settles deliveries.

    Args:
        groups: by the numbers of their partitions.
        in_flight: the messages in flight.
        handlers: by kind.
        options: how the consumer works.
        observer: one whose methods do not raise.
        outages: which partitions fail.
        running: the handlers that are running and may be overdue.
        event_loop: for async handlers.
        clock: monotonic, in seconds.
        ended: all threads return.
    """

    groups: Mapping[int, PartitionGroup]
    in_flight: InFlight
    handlers: Handlers
    options: Options
    observer: Observer
    outages: Outages = field(default_factory=Outages)
    running: RunningHandlers = field(default_factory=RunningHandlers)
    event_loop: EventLoop = field(default_factory=EventLoop)
    clock: Callable[[], float] = time.monotonic
    ended: threading.Event = field(default_factory=threading.Event)

    def max_deliveries(self, handler: RegisteredHandler | None) -> int:
        """After how many deliveries to this handler a message is dead-lettered; None: without a handler."""
        own = handler.options.max_deliveries if handler else None
        return self.options.max_deliveries if own is None else own

    def backoff(self, handler: RegisteredHandler) -> Backoff:
        """How long a message waits after a failure of this handler."""
        return handler.options.backoff or self.options.backoff
