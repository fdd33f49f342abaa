"""Gives deliveries to their handlers, one after the other, and sees to what becomes of them."""

import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from listener.consumer import messages
from listener.consumer.context import Context
from listener.consumer.delivery import Delivery, Verdict
from listener.consumer.errors import MalformedError
from listener.consumer.group import Group, is_missing
from listener.consumer.handlers import Handler, handle
from listener.consumer.log import log
from listener.consumer.outages import REST_S, RestingError
from listener.messages.kinds import Message

# Redis did not answer, or we have a fault: how long until such a delivery is taken again.
AGAIN_S = REST_S


class Worker:
    """One thread's. See `docs/consumer.md` for the life of a message."""

    def __init__(self, context: Context) -> None:
        """Takes what the threads share."""
        self._context = context
        self._desk = context.desk
        self._stale_s = 2 * context.options.beat_s
        self._unhandled: set[str] = set()

    def step(self) -> None:
        """Takes the next delivery and sees it through."""
        delivery = self._desk.take()
        if delivery is None:
            return
        where = [delivery.partition]
        try:
            self._serve(delivery)
        except RestingError as resting:
            self._desk.retry(delivery, resting.left_s)
        except redis.RedisError as error:
            if is_missing(error):
                # The group that it was delivered to is no more; a new one gets it again.
                self._desk.clear([delivery])
                return
            self._context.outages.begin("deliver", where, error)
            self._desk.retry(delivery, AGAIN_S)
        except BaseException:  # noqa: BLE001 - whatever it is, the delivery must not be forgotten
            self._desk.retry(delivery, AGAIN_S)
            log.exception("a delivery failed", entry=delivery.entry_id.decode())
        else:
            self._context.outages.end("deliver", where)

    def _serve(self, delivery: Delivery) -> None:
        if delivery.is_lost:
            self._lose(delivery)
            return
        delivery.verdict = delivery.verdict or self._used_up(delivery)
        if delivery.verdict:
            self._bury(delivery, delivery.verdict)
            return
        try:
            message = self._message(delivery)
        except MalformedError as error:
            self._bury(delivery, Verdict(reason="malformed", error=f"MalformedError: {error}"))
            return
        handler = self._context.handlers.find(message.kind)
        if handler is None:
            self._pass_over(delivery, message)
        elif self._is_ours(delivery):
            self._handle(delivery, message, handler)
        else:
            self._lose(delivery)

    def _message(self, delivery: Delivery) -> Message:
        return messages.typed(
            delivery.fields,
            entry_id=delivery.entry_id.decode(),
            partition=delivery.partition,
            deliveries=delivery.number,
        )

    def _used_up(self, delivery: Delivery) -> Verdict | None:
        if delivery.number <= self._context.options.max_deliveries:
            return None
        error = f"no consumer came back from {delivery.recorded} deliveries"
        return Verdict(reason="crashed", error=error)

    @contextmanager
    def _group(self, delivery: Delivery) -> Iterator[Group]:
        """For one command. A partition that hangs must not take the time of all the others."""
        with self._context.outages.attempt("deliver", delivery.partition):
            yield self._context.groups[delivery.partition]

    def _is_ours(self, delivery: Delivery) -> bool:
        if not delivery.is_next_recorded:
            with self._group(delivery) as group:
                return group.count(delivery)
        if time.monotonic() - delivery.held_at > self._stale_s:
            # The process was suspended, or Redis away for long: another may have taken it over.
            with self._group(delivery) as group:
                return not group.hold([delivery])
        return True

    def _handle(self, delivery: Delivery, message: Message, handler: Handler) -> None:
        began = time.monotonic()
        try:
            handle(handler, message)
        except BaseException as error:  # noqa: BLE001 - even sys.exit() is the handler's failure alone
            self._fail(delivery, message, error)
            return
        self._context.observer.handled(message.kind, time.monotonic() - began)
        self._desk.finish(delivery)

    def _fail(self, delivery: Delivery, message: Message, error: BaseException) -> None:
        number = delivery.number
        # This one is over, whatever fails from here on: the next one counts anew.
        delivery.is_next_recorded = delivery.is_suspect = False
        self._context.observer.failed(message.kind, error)
        text = "".join(traceback.format_exception_only(error)).strip()
        if delivery.is_lost:
            self._lose(delivery)
        elif number >= self._context.options.max_deliveries:
            trace = "".join(traceback.format_exception(error))
            delivery.verdict = Verdict(reason="handler-failed", error=text, traceback=trace)
            self._bury(delivery, delivery.verdict)
        else:
            delay_s = self._context.options.backoff.after(number)
            log.warning(
                "handler failed; the message will be handled again",
                kind=message.kind,
                id=message.id,
                entry=message.entry_id,
                deliveries=message.deliveries,
                delay_s=round(delay_s, 1),
                error=text[:300],
            )
            self._desk.retry(delivery, delay_s)
            self._context.observer.retried(message.kind, delay_s)

    def _bury(self, delivery: Delivery, verdict: Verdict) -> None:
        delivery.verdict = verdict
        with self._group(delivery) as group:
            result = group.bury(delivery, verdict)
        self._desk.clear([delivery])
        kind, entry = messages.kind_of(delivery.fields), delivery.entry_id.decode()
        if result < 0:
            log.warning("a message is gone: its entry was deleted from the stream", entry=entry)
        elif result == 0:
            self._context.observer.lost(1)
        else:
            log.error(
                "message moved to the dead stream",
                kind=kind,
                entry=entry,
                partition=delivery.partition,
                reason=verdict.reason,
                deliveries=delivery.recorded,
                error=verdict.error[:300],
            )
            self._context.observer.buried(kind, verdict.reason)

    def _pass_over(self, delivery: Delivery, message: Message) -> None:
        # A kind that the group does not want must not hold up the stream's retention for ever.
        if message.kind not in self._unhandled:
            self._unhandled.add(message.kind)
            log.warning("no handler for this kind; acknowledging its messages", kind=message.kind)
        self._desk.finish(delivery)

    def _lose(self, delivery: Delivery) -> None:
        self._desk.clear([delivery])
        self._context.observer.lost(1)
