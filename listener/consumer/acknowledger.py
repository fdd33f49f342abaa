"""Acknowledges what was handled: whatever is there when the reply to the last command has come."""

from collections import defaultdict
from collections.abc import Sequence

import redis

from listener.consumer.context import Context
from listener.consumer.delivery import Delivery
from listener.consumer.outages import RestingError


class Acknowledger:
    """One thread's. An acknowledgement that fails is sent until it succeeds."""

    def __init__(self, context: Context) -> None:
        """Takes what the threads share."""
        self._context = context
        self.unsent: list[Delivery] = []

    def step(self) -> None:
        """Acknowledges what there is; waits a moment for some."""
        self.unsent += self._context.desk.finished()
        if self.unsent:
            self._acknowledge()

    def _acknowledge(self) -> None:
        by_partition: dict[int, list[Delivery]] = defaultdict(list)
        for delivery in self.unsent:
            by_partition[delivery.partition].append(delivery)
        self.unsent = []
        for number in sorted(by_partition, key=self._context.outages.is_failing):
            deliveries = by_partition[number]
            if self.unsent and self._context.ended.is_set():
                # The end has a bound: after one time limit no other is waited for.
                self.unsent += deliveries
                continue
            try:
                self._send(number, [delivery.entry_id for delivery in deliveries])
            except RestingError:
                self.unsent += deliveries
            except redis.RedisError as error:
                self._context.outages.begin("acknowledge", [number], error)
                self.unsent += deliveries
            else:
                self._context.outages.end("acknowledge", [number])
                self._context.desk.clear(deliveries)

    def _send(self, number: int, ids: Sequence[bytes]) -> None:
        if self._context.ended.is_set():
            # There is no later.
            self._context.groups[number].acknowledge(ids)
            return
        with self._context.outages.attempt("acknowledge", number):
            self._context.groups[number].acknowledge(ids)
