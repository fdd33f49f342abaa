"""An entry that is pending for this consumer, and why it may be given up."""

from collections.abc import Mapping
from dataclasses import dataclass

Key = tuple[int, bytes]
"""The number of the partition, and the entry's id."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadReason:
    """Why a message is dead-lettered: a reason word, and what is kept beside it."""

    reason: str
    error: str
    traceback: str = ""


@dataclass(kw_only=True, slots=True, eq=False)
class Delivery:
    """An entry that is pending for this consumer.

    Args:
        partition: the number of its partition.
        entry_id: of the entry.
        fields: of the entry.
        recorded_deliveries: how many deliveries Redis has counted.
        is_next_recorded: whether Redis has counted the next delivery already, as it does on a read.
        confirmed_at: when Redis last confirmed that it is ours, in seconds of a monotonic clock.
        is_crash_suspect: whether it may have crashed the consumer that held it before.
        is_lost: another consumer holds it now, or nobody.
        is_done: it was handled, and only has to be acknowledged.
        dead_reason: it was given up, and only has to be dead-lettered.
        is_taken: a worker or the event loop works on it.
        ordering_key: deliveries with the same key are handled in order; None: in no order.
    """

    partition: int
    entry_id: bytes
    fields: Mapping[bytes, bytes]
    recorded_deliveries: int
    is_next_recorded: bool
    confirmed_at: float
    is_crash_suspect: bool = False
    is_lost: bool = False
    is_done: bool = False
    dead_reason: DeadReason | None = None
    is_taken: bool = False
    ordering_key: bytes | None = None

    @property
    def key(self) -> Key:
        """Identifies the entry among those of all partitions."""
        return self.partition, self.entry_id

    @property
    def next_delivery(self) -> int:
        """The number of the next delivery, from 1."""
        return self.recorded_deliveries + (not self.is_next_recorded)
