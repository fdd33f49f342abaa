"""Gives deliveries to their handlers, one after the other; retries those that fail, or makes them dead letters."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context
from functools import partial

import redis

from listener.consumer import messages
from listener.consumer.deliveries.context import DeliveryContext, PartitionGroup
from listener.consumer.deliveries.delivery import DeadReason, Delivery
from listener.consumer.deliveries.settlement import Settlement
from listener.consumer.handlers.calls import call_async, call_plain
from listener.consumer.handlers.registry import RegisteredHandler
from listener.consumer.messages import MalformedError
from listener.consumer.outages import BACKOFF_S, BackingOffError
from listener.consumer.redis_group import is_missing
from listener.messages.kinds import Message
from listener.safe_logger import SafeLogger

log = SafeLogger("listener.consumer")

# The pause before a delivery that failed for another reason than its handler: Redis, or our own fault.
RETRY_S = BACKOFF_S


class DeliveryWorker:
    """One thread's task. See `docs/consumer.md` for the life of a message."""

    def __init__(self, run: DeliveryContext) -> None:
        self._run = run
        self._in_flight = run.in_flight
        self._settlement = Settlement(run)
        self._stale_s = 2 * run.options.renew_every_s
        self._unhandled: set[str] = set()

    def step(self) -> None:
        """Takes the next delivery and processes it."""
        if delivery := self._in_flight.take():
            self.process(delivery)

    def process(self, delivery: Delivery) -> None:
        """Has a delivery handled and settled, or begins that; it stays in flight if Redis fails."""
        try:
            self._process(delivery)
        except BackingOffError as error:
            self._in_flight.retry(delivery, error.left_s)
        except redis.RedisError as error:
            if is_missing(error):
                # Its group was deleted; a new group is given the message again.
                self._in_flight.remove([delivery])
                return
            self._run.outages.begin("deliver", [delivery.partition], error)
            self._in_flight.retry(delivery, RETRY_S)
        except BaseException:
            self._in_flight.retry(delivery, RETRY_S)
            log.exception("a delivery failed", entry=delivery.entry_id.decode())
        else:
            self._run.outages.end("deliver", [delivery.partition])

    def _process(self, delivery: Delivery) -> None:
        if delivery.is_lost:
            self._drop_lost(delivery)
            return
        dead_reason = delivery.dead_reason or self._crashed_too_often(delivery)
        if dead_reason:
            self._dead_letter(delivery, dead_reason)
            return
        try:
            message = self._message(delivery)
        except MalformedError as error:
            self._dead_letter(
                delivery, DeadReason(reason="malformed", error=f"MalformedError: {error}")
            )
            return
        handler = self._run.handlers.for_message(message)
        if handler is None:
            self._skip(delivery, message)
        elif not self._is_ours(delivery):
            self._drop_lost(delivery)
        elif handler.is_async:
            self._run.event_loop.start(partial(self._handle_async, delivery, message, handler))
        else:
            self._handle(delivery, message, handler)

    def _message(self, delivery: Delivery) -> Message:
        return messages.typed(
            delivery.fields,
            entry_id=delivery.entry_id.decode(),
            partition=delivery.partition,
            deliveries=delivery.next_delivery,
        )

    def _crashed_too_often(self, delivery: Delivery) -> DeadReason | None:
        if delivery.next_delivery == 1:
            return None
        handler = self._run.handlers.find(messages.kind_name(delivery.fields))
        if delivery.next_delivery <= self._run.max_deliveries(handler):
            return None
        error = f"no consumer came back from {delivery.recorded_deliveries} deliveries"
        return DeadReason(reason="crashed", error=error)

    @contextmanager
    def _group(self, delivery: Delivery) -> Iterator[PartitionGroup]:
        """For one command. A partition that hangs must not take the time of all the others."""
        with self._run.outages.attempt("deliver", delivery.partition):
            yield self._run.groups[delivery.partition]

    def _is_ours(self, delivery: Delivery) -> bool:
        """Whether it is still ours, asking Redis where that is uncertain; counts the delivery if needed."""
        if not delivery.is_next_recorded:
            with self._group(delivery) as group:
                return group.record_delivery(delivery)
        if self._run.clock() - delivery.confirmed_at > self._stale_s:
            # The process was suspended, or Redis away for long: another may have taken it over.
            with self._group(delivery) as group:
                return not group.renew([delivery])
        return True

    def _handle(self, delivery: Delivery, message: Message, handler: RegisteredHandler) -> None:
        run, began = self._run, self._run.clock()
        try:
            # The next handler of this thread does not see the context variables that this one sets.
            if handler.options.timeout_s is None:
                Context().run(call_plain, handler, message, run.handlers.surroundings)
            else:
                with run.running.track(handler, message):
                    Context().run(call_plain, handler, message, run.handlers.surroundings)
        except BaseException as error:  # noqa: BLE001 - even sys.exit() is the handler's failure alone
            if self._settlement.fail(delivery, handler, message, error):
                return
            if delivery.dead_reason:
                self._dead_letter(delivery, delivery.dead_reason)
            else:
                self._drop_lost(delivery)
            return
        self._settlement.succeed(delivery, message, run.clock() - began)

    async def _handle_async(
        self, delivery: Delivery, message: Message, handler: RegisteredHandler
    ) -> None:
        """Runs in the event loop, and so leaves to a worker what needs Redis. Raises nothing."""
        try:
            await self._call_and_settle(delivery, message, handler)
        except BaseException:
            self._in_flight.retry(delivery, RETRY_S)
            log.exception("a delivery failed", entry=delivery.entry_id.decode())

    async def _call_and_settle(
        self, delivery: Delivery, message: Message, handler: RegisteredHandler
    ) -> None:
        run, began = self._run, self._run.clock()
        try:
            with run.running.track(handler, message):
                await call_async(handler, message, run.handlers.surroundings)
        except BaseException as error:  # noqa: BLE001 - as above
            # What the consumer cancelled as it stopped is handed back, and not counted.
            if not run.event_loop.is_stopping and not self._settlement.fail(
                delivery, handler, message, error
            ):
                self._in_flight.give_up(delivery)
            return
        self._settlement.succeed(delivery, message, run.clock() - began)

    def _dead_letter(self, delivery: Delivery, reason: DeadReason) -> None:
        delivery.dead_reason = reason
        with self._group(delivery) as group:
            self._settlement.dead_letter(group, delivery, reason)

    def _skip(self, delivery: Delivery, message: Message) -> None:
        # An unacknowledged message would hold up the stream's retention for ever.
        is_unhandled = self._run.handlers.find(message.kind) is None
        if is_unhandled and message.kind not in self._unhandled:
            self._unhandled.add(message.kind)
            log.warning("no handler for this kind; acknowledging its messages", kind=message.kind)
        self._in_flight.finish(delivery)

    def _drop_lost(self, delivery: Delivery) -> None:
        self._in_flight.remove([delivery])
        self._run.observer.lost(1)
