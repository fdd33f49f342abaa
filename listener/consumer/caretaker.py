"""Keeps what is in hand from being taken over, and takes over what others left."""

import time
from collections import defaultdict

import redis

from listener.consumer.context import Context
from listener.consumer.delivery import Delivery
from listener.consumer.frozen import Frozen
from listener.consumer.group import Group, is_missing
from listener.consumer.log import log
from listener.consumer.outages import RestingError
from listener.consumer.takeover import take_over
from listener.redis_client.client import reset_connections

SWEEP_S = 3600.0
# There is more to take over than could be taken at once.
SOON_S = 0.2
# A heartbeat that failed is tried again before others may take the messages.
BEATS_AFTER_FAILURE = 4


class Caretaker:
    """One thread's."""

    def __init__(self, context: Context) -> None:
        """Takes what the threads share."""
        self._context = context
        self._frozen = Frozen(context.options.takeover_idle_s)
        now = time.monotonic()
        self._next_beat = now + context.options.beat_s
        self._next_look = now
        self._next_sweep = now

    def step(self) -> None:
        """Does what is due, and waits for what is due next."""
        now = time.monotonic()
        options = self._context.options
        if now >= self._next_beat:
            is_well = self._beat(now)
            self._next_beat = now + options.beat_s / (1 if is_well else BEATS_AFTER_FAILURE)
        if not self._context.stopping.is_set():
            if now >= self._next_look:
                self._next_look = now + (options.look_s if self._look() else SOON_S)
            if now >= self._next_sweep:
                self._sweep()
                self._next_sweep = now + SWEEP_S
        due = min(self._next_beat, self._next_look, self._next_sweep)
        # Not longer: it also notices here that the consumer stops.
        self._context.ended.wait(min(max(due - time.monotonic(), 0.01), 0.5))

    def _beat(self, now: float) -> bool:
        """Renews what was ours for a while; what has just come was renewed by coming."""
        due: dict[int, list[Delivery]] = defaultdict(list)
        for delivery in self._context.desk.in_hand():
            if not delivery.is_lost and now - delivery.held_at >= self._context.options.beat_s:
                due[delivery.partition].append(delivery)
        # Every partition, also after one that failed.
        held = [self._hold(number, deliveries) for number, deliveries in due.items()]
        return all(held)

    def _hold(self, number: int, deliveries: list[Delivery]) -> bool:
        try:
            with self._context.outages.attempt("hold", number):
                lost = self._context.groups[number].hold(deliveries)
        except RestingError:
            return False
        except redis.RedisError as error:
            return self._excuse("hold", number, error)
        self._context.outages.end("hold", [number])
        # What is acknowledged at this moment is no loss.
        unfinished = [delivery for delivery in lost if not delivery.is_done]
        if count := sum(delivery.key in self._context.desk for delivery in unfinished):
            log.warning("messages in hand belong to another consumer now", messages=count)
        return True

    def _look(self) -> bool:
        """Takes over; whether that was all."""
        looks = [self._take_over(group) for group in self._context.groups.values()]
        return all(looks)

    def _take_over(self, group: Group) -> bool:
        try:
            with self._context.outages.attempt("take over", group.partition):
                is_all = take_over(self._context, group, self._frozen)
        except RestingError:
            return True
        except redis.RedisError as error:
            reset_connections(self._context.reading)
            self._excuse("take over", group.partition, error)
            return True
        self._context.outages.end("take over", [group.partition])
        return is_all

    def _sweep(self) -> None:
        for number, group in self._context.groups.items():
            try:
                names = group.sweep()
            except redis.RedisError as error:
                self._excuse("sweep", number, error)
                continue
            self._context.outages.end("sweep", [number])
            if names:
                log.info("unused consumer names deleted", partition=number, consumers=names)

    def _excuse(self, activity: str, number: int, error: "redis.RedisError") -> bool:
        """A group that is missing is the reader's affair."""
        if is_missing(error):
            return True
        self._context.outages.begin(activity, [number], error)
        reset_connections(self._context.client)
        return False
