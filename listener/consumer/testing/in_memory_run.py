"""Runs a consumer's handlers on given messages, without Redis and with a clock that the test moves."""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Protocol, Self

from listener.consumer import messages
from listener.consumer.acknowledger import Acknowledger
from listener.consumer.consumer import Consumer
from listener.consumer.deliveries.delivery import Delivery
from listener.consumer.deliveries.in_flight import InFlight
from listener.consumer.deliveries.worker import DeliveryWorker
from listener.consumer.options import SafeObserver
from listener.consumer.testing.in_memory_context import (
    FakeClock,
    InMemoryContext,
    LastFailure,
    SynchronousEventLoop,
)
from listener.consumer.testing.in_memory_group import InMemoryGroup
from listener.consumer.testing.records import DeadLetter, Handling, Outcome
from listener.messages.kinds import Message
from listener.queue.keys import partition_number

START = datetime(2026, 1, 1, tzinfo=UTC)
# How long the event loop may take to end after its handlers, which is nothing.
JOIN_S = 2.0


class InMemoryRun:
    """A run of a consumer on the messages that a test adds, one at a time, in the thread of the test.

    Handlers, their options and what surrounds them, retries, order by upgrade, dead letters and observers are
    the consumer's own: the code that decides about a message is that of `Consumer.run`.

    What it does not show: several handlers at once, so neither `concurrency` nor what an async handler
    gives up the loop for; Redis and its failures; consumers that die, and takeovers; stopping. Time passes
    only where the test moves the clock: what a handler waits for takes its real time, and `timeout_s` of an
    async handler is real as well. The clock does not go on while a plain handler runs, so that none is overdue.
    Backoffs have no jitter. The partition of a message is that of the listener, and `only` is not looked at.

    Attributes:
        handlings: each delivery so far, in order.
    """

    def __init__(self, consumer: Consumer, *, start: datetime = START) -> None:
        """Handles nothing yet; `start` is what the clock shows at first, with a time zone.

        Raises:
            RuntimeError: the consumer has no handler.
            TypeError: an async context manager is to surround a plain handler.
            ValueError: `start` has no time zone.
        """
        consumer.check()
        self._clock = FakeClock(start)
        self._failure = LastFailure()
        self._partitions = consumer.queue.partitions
        self._groups = {
            number: InMemoryGroup(number, self._clock, lambda: self._clock.now)
            for number in range(self._partitions)
        }
        self._run = InMemoryContext(
            groups=self._groups,
            in_flight=InFlight(
                batch=consumer.options.batch, ordered=consumer.options.ordered, clock=self._clock
            ),
            handlers=consumer.handlers,
            options=consumer.options,
            observer=SafeObserver(self._failure, *consumer.observers),
            event_loop=SynchronousEventLoop(threads=consumer.options.concurrency),
            clock=self._clock,
        )
        self._worker = DeliveryWorker(self._run)
        self._acknowledger = Acknowledger(self._run)
        self._entries = 0
        self.handlings: list[Handling] = []

    def add(self, *added: Message | Mapping[str, Any] | str | bytes) -> list[str]:
        """Adds messages to the queue, as if they arrived now; handles none yet.

        Args:
            added: samples as for `listener.consumer.message`, or its results. The same content twice is two
                entries with the same `id`, as after the listener's window for duplicates.

        Returns:
            The ids of their entries.

        Raises:
            listener.errors.RefusalError: the listener would refuse it.
        """
        return [self._add(each) for each in added]

    def handle_due(self) -> None:
        """Handles what can be handled now, until nothing is left or everything waits for a retry.

        Raises:
            RuntimeError: the run is closed.
        """
        if self._run.event_loop.is_stopping:
            raise RuntimeError("the run is closed")
        while delivery := self._run.in_flight.take_now():
            self._handle(delivery)

    def advance(self, seconds: float) -> None:
        """Moves the clock, and handles what becomes due meanwhile, each at its own time.

        Raises:
            ValueError: `seconds` is negative.
        """
        if seconds < 0:
            raise ValueError("the clock does not go backwards")
        until_s = self._clock() + seconds
        self.handle_due()
        while (due_s := self._next_due_s()) is not None and due_s <= until_s:
            self._clock.move_to(due_s)
            self.handle_due()
        self._clock.move_to(until_s)

    def run(self) -> None:
        """Handles everything to its end: moves the clock from retry to retry until no message is left."""
        self.handle_due()
        while (due_s := self._next_due_s()) is not None:
            self._clock.move_to(due_s)
            self.handle_due()

    @property
    def now(self) -> datetime:
        """What the clock shows, in UTC."""
        return self._clock.now

    @property
    def pending(self) -> list[str]:
        """The ids of the entries that are neither acknowledged nor dead: they wait, or were not handled yet."""
        return [each.entry_id.decode() for each in self._run.in_flight.snapshot()]

    @property
    def acknowledged(self) -> list[str]:
        """The ids of the entries that were acknowledged, by partition."""
        return [entry for group in self._groups.values() for entry in group.acknowledged]

    @property
    def dead(self) -> list[DeadLetter]:
        """The dead letters, by partition."""
        return [letter for group in self._groups.values() for letter in group.dead]

    def close(self) -> None:
        """Ends the event loop, and cancels what async handlers have left in it."""
        self._run.event_loop.cancel()
        self._run.event_loop.join(JOIN_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        type_: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _add(self, added: Message | Mapping[str, Any] | str | bytes) -> str:
        message = added if isinstance(added, Message) else messages.message(added, arrived=self.now)
        number = partition_number(message, self._partitions)
        self._entries += 1
        entry_id = f"{int(self.now.timestamp() * 1000)}-{self._entries}"
        delivery = self._groups[number].new_delivery(entry_id, messages.fields_of(message))
        self._run.in_flight.add([delivery])
        self._run.observer.received(1, number)
        return entry_id

    def _next_due_s(self) -> float | None:
        """When the next retry is due, by the clock; None: none waits."""
        left_s = self._run.in_flight.until_due_s
        return None if left_s is None else self._clock() + left_s

    def _handle(self, delivery: Delivery) -> None:
        message = messages.typed(
            delivery.fields,
            entry_id=delivery.entry_id.decode(),
            partition=delivery.partition,
            deliveries=delivery.next_delivery,
        )
        self._failure.reset()
        at = self._clock.now
        self._worker.process(delivery)
        outcome: Outcome
        if delivery.is_done:
            outcome = "handled" if self._run.handlers.for_message(message) else "unhandled"
            self._acknowledger.step()
        elif delivery.dead_reason:
            outcome = "dead"
            self._dead_letter(delivery)
        else:
            outcome = "retried"
        self.handlings.append(
            Handling(
                message=message,
                at=at,
                outcome=outcome,
                error=self._failure.error,
                retry_in_s=self._failure.retry_in_s,
            )
        )

    def _dead_letter(self, delivery: Delivery) -> None:
        """Has a worker do it, if an async handler has left it to one."""
        if delivery in self._run.in_flight.snapshot() and (
            given_up := self._run.in_flight.take_now()
        ):
            self._worker.process(given_up)


class RunFactory(Protocol):
    """What the fixture `fota_run` is: makes a run of a consumer, which ends with the test."""

    def __call__(self, consumer: Consumer, *, start: datetime = START) -> InMemoryRun:
        """See `InMemoryRun`."""
        ...
