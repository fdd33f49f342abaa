"""Gives deliveries to their handlers, one after the other; retries those that fail, or makes them dead letters."""

import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from listener.consumer import messages
from listener.consumer.handlers.calls import call_plain
from listener.consumer.handlers.outcomes import Reject, Retry, decision
from listener.consumer.handlers.registry import RegisteredHandler
from listener.consumer.in_flight import DeadReason, Delivery
from listener.consumer.messages import MalformedError
from listener.consumer.outages import BACKOFF_S, BackingOffError
from listener.consumer.redis_group import RedisGroup, is_missing
from listener.consumer.run_context import RunContext
from listener.messages.kinds import Message
from listener.safe_logger import SafeLogger

log = SafeLogger("listener.consumer")

# The pause before a delivery that failed for another reason than its handler: Redis, or our own fault.
RETRY_S = BACKOFF_S


class DeliveryWorker:
    """One thread's task. See `docs/consumer.md` for the life of a message."""

    def __init__(self, run: RunContext) -> None:
        self._run = run
        self._in_flight = run.in_flight
        self._stale_s = 2 * run.options.renew_every_s
        self._unhandled: set[str] = set()

    def step(self) -> None:
        """Takes the next delivery and processes it; it stays in flight if Redis fails."""
        delivery = self._in_flight.take()
        if delivery is None:
            return
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
        handler = self._run.handlers.find(message.kind)
        if handler is None:
            self._skip(delivery, message)
        elif self._is_ours(delivery):
            self._handle(delivery, message, handler)
        else:
            self._drop_lost(delivery)

    def _message(self, delivery: Delivery) -> Message:
        return messages.typed(
            delivery.fields,
            entry_id=delivery.entry_id.decode(),
            partition=delivery.partition,
            deliveries=delivery.next_delivery,
        )

    def _crashed_too_often(self, delivery: Delivery) -> DeadReason | None:
        handler = self._run.handlers.find(messages.kind_of(delivery.fields))
        if delivery.next_delivery <= self._max_deliveries(handler):
            return None
        error = f"no consumer came back from {delivery.recorded_deliveries} deliveries"
        return DeadReason(reason="crashed", error=error)

    def _max_deliveries(self, handler: RegisteredHandler | None) -> int:
        own = handler.options.max_deliveries if handler else None
        return own or self._run.options.max_deliveries

    @contextmanager
    def _group(self, delivery: Delivery) -> Iterator[RedisGroup]:
        """For one command. A partition that hangs must not take the time of all the others."""
        with self._run.outages.attempt("deliver", delivery.partition):
            yield self._run.groups[delivery.partition]

    def _is_ours(self, delivery: Delivery) -> bool:
        """Whether it is still ours, asking Redis where that is uncertain; counts the delivery if needed."""
        if not delivery.is_next_recorded:
            with self._group(delivery) as group:
                return group.record_delivery(delivery)
        if time.monotonic() - delivery.confirmed_at > self._stale_s:
            # The process was suspended, or Redis away for long: another may have taken it over.
            with self._group(delivery) as group:
                return not group.renew([delivery])
        return True

    def _handle(self, delivery: Delivery, message: Message, handler: RegisteredHandler) -> None:
        began = time.monotonic()
        try:
            self._call(handler, message)
        except BaseException as error:  # noqa: BLE001 - even sys.exit() is the handler's failure alone
            self._retry_or_dead_letter(delivery, message, handler, decision(error))
            return
        self._run.observer.handled(message.kind, time.monotonic() - began)
        self._in_flight.finish(delivery)

    def _call(self, handler: RegisteredHandler, message: Message) -> None:
        self._run.running.begin(handler, message)
        try:
            call_plain(handler, message, self._run.handlers.surroundings)
        finally:
            self._run.running.end(handler, message)

    def _retry_or_dead_letter(
        self,
        delivery: Delivery,
        message: Message,
        handler: RegisteredHandler,
        error: BaseException,
    ) -> None:
        number = delivery.next_delivery
        # This delivery ended, whatever fails from here on: the next one is counted by itself.
        delivery.is_next_recorded = delivery.is_crash_suspect = False
        self._run.observer.failed(message.kind, error)
        text = "".join(traceback.format_exception_only(error)).strip()
        if delivery.is_lost:
            self._drop_lost(delivery)
        elif isinstance(error, Reject) or number >= self._max_deliveries(handler):
            reason = "rejected" if isinstance(error, Reject) else "handler-failed"
            trace = "".join(traceback.format_exception(error))
            self._dead_letter(delivery, DeadReason(reason=reason, error=text, traceback=trace))
        else:
            delay_s = self._delay_s(handler, error, number)
            log.warning(
                "handler failed; the message will be handled again",
                kind=message.kind,
                id=message.id,
                entry=message.entry_id,
                deliveries=message.deliveries,
                delay_s=round(delay_s, 1),
                error=text[:300],
            )
            self._in_flight.retry(delivery, delay_s)
            self._run.observer.retried(message.kind, delay_s)

    def _delay_s(self, handler: RegisteredHandler, error: BaseException, number: int) -> float:
        """Seconds to wait after the failure of this delivery."""
        if isinstance(error, Retry) and error.after_s is not None:
            return error.after_s
        return (handler.options.backoff or self._run.options.backoff).after(number)

    def _dead_letter(self, delivery: Delivery, reason: DeadReason) -> None:
        # If Redis fails, the next attempt does not call the handler again.
        delivery.dead_reason = reason
        with self._group(delivery) as group:
            result = group.dead_letter(delivery, reason)
        self._in_flight.remove([delivery])
        kind, entry = messages.kind_of(delivery.fields), delivery.entry_id.decode()
        if result < 0:
            log.warning("a message is gone: its entry was deleted from the stream", entry=entry)
        elif result == 0:
            self._run.observer.lost(1)
        else:
            log.error(
                "message moved to the dead stream",
                kind=kind,
                entry=entry,
                partition=delivery.partition,
                reason=reason.reason,
                deliveries=delivery.recorded_deliveries,
                error=reason.error[:300],
            )
            self._run.observer.buried(kind, reason.reason)

    def _skip(self, delivery: Delivery, message: Message) -> None:
        # An unacknowledged message would hold up the stream's retention for ever.
        if message.kind not in self._unhandled:
            self._unhandled.add(message.kind)
            log.warning("no handler for this kind; acknowledging its messages", kind=message.kind)
        self._in_flight.finish(delivery)

    def _drop_lost(self, delivery: Delivery) -> None:
        self._in_flight.remove([delivery])
        self._run.observer.lost(1)
