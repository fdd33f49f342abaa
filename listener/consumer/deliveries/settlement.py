"""Settles a delivery whose handler ended: it is acknowledged, handled again later, or dead-lettered."""

import traceback
from collections.abc import Iterable, Mapping

from listener.consumer import messages
from listener.consumer.deliveries.context import DeliveryContext, PartitionGroup
from listener.consumer.deliveries.delivery import DeadReason, Delivery
from listener.consumer.handlers.outcomes import HandlerTimeoutError, Reject, Retry, decision
from listener.consumer.handlers.overdue import Overdue
from listener.consumer.handlers.registry import RegisteredHandler
from listener.messages.kinds import Message
from listener.safe_logger import SafeLogger

log = SafeLogger("listener.consumer")


class Settlement:
    """Decides without Redis, so that the event loop's thread may call it; `dead_letter` alone needs it.

    Threads share it.
    """

    def __init__(self, run: DeliveryContext) -> None:
        self._run = run

    def succeed(self, delivery: Delivery, message: Message, seconds: float) -> None:
        """The handler returned after `seconds`; the acknowledgement follows."""
        self._run.observer.handled(message.kind, seconds)
        self._run.in_flight.finish(delivery)

    def fail(
        self,
        delivery: Delivery,
        handler: RegisteredHandler,
        message: Message,
        error: BaseException,
    ) -> bool:
        """The handler raised. Returns whether the delivery will be handled again.

        If not, it is still in flight: it is lost, or its `dead_reason` is set.
        """
        error = decision(error)
        number = delivery.next_delivery
        # This delivery ended, whatever fails from here on: the next one is counted by itself.
        delivery.is_next_recorded = delivery.is_crash_suspect = False
        self._run.observer.failed(message.kind, error)
        if delivery.is_lost:
            return False
        if isinstance(error, Reject) or number >= self._run.max_deliveries(handler):
            trace = "".join(traceback.format_exception(error))
            delivery.dead_reason = DeadReason(
                reason=_reason_word(error), error=_text(error), traceback=trace
            )
            return False
        self._retry(delivery, message, error, self._delay_s(handler, error, number))
        return True

    def give_up_overdue(
        self, deliveries: Iterable[Delivery], overdue: Mapping[tuple[int, str], Overdue]
    ) -> None:
        """Gives up the deliveries whose handlers are overdue, if they were the last: the consumer stops.

        Args:
            deliveries: that are left.
            overdue: by partition and entry.
        """
        for delivery in deliveries:
            late = overdue.get((delivery.partition, delivery.entry_id.decode()))
            if late is None or not delivery.is_taken:
                continue
            handler = self._run.handlers.find(late.kind)
            if delivery.next_delivery >= self._run.max_deliveries(handler):
                error = HandlerTimeoutError(late.timeout_s)
                delivery.dead_reason = DeadReason(reason=_reason_word(error), error=_text(error))

    def dead_letter(self, group: PartitionGroup, delivery: Delivery, reason: DeadReason) -> None:
        """Moves a delivery to the dead stream of its partition.

        Raises:
            redis.RedisError: it is still in flight, with its `dead_reason`.
        """
        # If Redis fails, the next attempt does not call the handler again.
        delivery.dead_reason = reason
        result = group.dead_letter(delivery, reason)
        self._run.in_flight.remove([delivery])
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

    def _retry(
        self, delivery: Delivery, message: Message, error: BaseException, delay_s: float
    ) -> None:
        log.warning(
            "handler failed; the message will be handled again",
            kind=message.kind,
            id=message.id,
            entry=message.entry_id,
            deliveries=message.deliveries,
            delay_s=round(delay_s, 1),
            error=_text(error)[:300],
        )
        self._run.in_flight.retry(delivery, delay_s)
        self._run.observer.retried(message.kind, delay_s)

    def _delay_s(self, handler: RegisteredHandler, error: BaseException, number: int) -> float:
        """Seconds to wait after the failure of this delivery."""
        if isinstance(error, Retry) and error.after_s is not None:
            return error.after_s
        return self._run.backoff(handler).after(number)


def _reason_word(error: BaseException) -> str:
    if isinstance(error, Reject):
        return "rejected"
    return "timed-out" if isinstance(error, HandlerTimeoutError) else "handler-failed"


def _text(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(error)).strip()
