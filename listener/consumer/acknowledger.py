"""Acknowledges what was handled: everything that finished while the last acknowledgement was under way."""

from collections import defaultdict
from collections.abc import Sequence

import redis

from listener.consumer.deliveries.context import DeliveryContext
from listener.consumer.deliveries.delivery import Delivery
from listener.consumer.outages import BackingOffError


class Acknowledger:
    """One thread's task. An acknowledgement that fails is sent until it succeeds."""

    def __init__(self, run: DeliveryContext) -> None:
        self._run = run
        self.unsent: list[Delivery] = []

    def step(self) -> None:
        """Acknowledges what was handled; waits briefly for some."""
        by_partition: dict[int, list[Delivery]] = defaultdict(list)
        finished = self._run.in_flight.take_finished()
        if finished:
            self._run.observer.acknowledging(len(finished))
        for delivery in (*self.unsent, *finished):
            by_partition[delivery.partition].append(delivery)
        self.unsent = []
        for number in sorted(by_partition, key=self._run.outages.is_failing):
            deliveries = by_partition[number]
            if self.unsent and self._run.ended.is_set():
                # Shutting down is bounded: after one time limit do not wait for another.
                self.unsent += deliveries
                continue
            try:
                self._send(number, [delivery.entry_id for delivery in deliveries])
            except BackingOffError:
                self.unsent += deliveries
            except redis.RedisError as error:
                self._run.outages.begin("acknowledge", [number], error)
                self.unsent += deliveries
            else:
                self._run.outages.end("acknowledge", [number])
                self._run.in_flight.remove(deliveries)

    def _send(self, number: int, ids: Sequence[bytes]) -> None:
        if self._run.ended.is_set():
            # Shutting down: try now, without backing off.
            self._run.groups[number].acknowledge(ids)
            return
        with self._run.outages.attempt("acknowledge", number):
            self._run.groups[number].acknowledge(ids)
