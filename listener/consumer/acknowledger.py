"""Acknowledges what was handled: whatever is there when the reply to the last command has come."""

from collections import defaultdict

import redis

from listener.consumer.context import Context
from listener.consumer.delivery import Delivery
from listener.consumer.outages import Attempts


class Acknowledger:
    """One thread's. An acknowledgement that fails is sent until it succeeds."""

    def __init__(self, context: Context) -> None:
        """Takes what the threads share."""
        self._context = context
        self._attempts = Attempts(context.ended.wait)
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
        for number, deliveries in by_partition.items():
            try:
                ids = [delivery.entry_id for delivery in deliveries]
                self._context.groups[number].acknowledge(ids)
            except redis.RedisError as error:
                self._context.outages.begin("acknowledge", [number], error)
                self.unsent += deliveries
            else:
                self._context.outages.end("acknowledge", [number])
                self._context.desk.clear(deliveries)
        if self.unsent:
            self._attempts.failed()
        else:
            self._attempts.succeeded()
