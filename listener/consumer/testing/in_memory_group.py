"""Stands in for Redis in a run in memory: one partition's entries, their deliveries and dead letters."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from listener.consumer import messages
from listener.consumer.deliveries.delivery import DeadReason, Delivery
from listener.consumer.redis_group import dead_letter_fields
from listener.consumer.testing.records import DeadLetter


class InMemoryGroup:
    """The group has one consumer, and nothing ever fails; so every delivery stays ours."""

    def __init__(
        self, partition: int, clock: Callable[[], float], now: Callable[[], datetime]
    ) -> None:
        self._partition = partition
        self._clock = clock
        self._now = now
        self.acknowledged: list[str] = []
        self.dead: list[DeadLetter] = []

    def new_delivery(self, entry_id: str, fields: Mapping[bytes, bytes]) -> Delivery:
        """The first delivery of an entry, counted by its read."""
        return Delivery(
            partition=self._partition,
            entry_id=entry_id.encode(),
            fields=fields,
            recorded_deliveries=1,
            is_next_recorded=True,
            confirmed_at=self._clock(),
        )

    def acknowledge(self, entry_ids: Sequence[bytes]) -> None:
        """See `PartitionGroup`."""
        self.acknowledged += (entry_id.decode() for entry_id in entry_ids)

    def renew(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """See `PartitionGroup`."""
        for delivery in deliveries:
            delivery.confirmed_at = self._clock()
        return []

    def record_delivery(self, delivery: Delivery) -> bool:
        """See `PartitionGroup`."""
        delivery.recorded_deliveries, delivery.is_next_recorded = delivery.next_delivery, True
        return not self.renew([delivery])

    def dead_letter(self, delivery: Delivery, reason: DeadReason) -> int:
        """See `PartitionGroup`."""
        added = dead_letter_fields(delivery, reason, "in-memory", self._now())
        texts = {
            name: text if isinstance(text, str) else text.decode() for name, text in added.items()
        }
        letter = DeadLetter(
            message=messages.typed(
                delivery.fields,
                entry_id=delivery.entry_id.decode(),
                partition=delivery.partition,
                deliveries=delivery.recorded_deliveries,
            ),
            reason=texts["reason"],
            error=texts["error"],
            traceback=texts["traceback"],
            deliveries=int(texts["deliveries"]),
        )
        self.dead.append(letter)
        return 1
