"""A message in a consumer's hand, and what has become of it so far. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

Key = tuple[int, bytes]
"""The number of the partition, and the entry's id."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Why a message is dead: one word, and what is kept beside it."""

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
        recorded: how many deliveries Redis has counted.
        is_next_recorded: whether the delivery that comes next is among them, as after a read.
        is_suspect: whether it may have brought down the consumer that held it before.
        held_at: when it was last known to be ours, in seconds of a monotonic clock.
        is_lost: another consumer holds it now, or nobody.
        is_done: it was handled, and only has to be acknowledged.
        verdict: it is dead, and only has to be moved.
        lane: what is handled in order has the same lane; None: in no order.
    """

    partition: int
    entry_id: bytes
    fields: Mapping[bytes, bytes]
    recorded: int
    is_next_recorded: bool
    held_at: float
    is_suspect: bool = False
    is_lost: bool = False
    is_done: bool = False
    verdict: Verdict | None = None
    lane: bytes | None = None

    @property
    def key(self) -> Key:
        """What tells it from every other."""
        return self.partition, self.entry_id

    @property
    def number(self) -> int:
        """Which delivery the next one is, from 1."""
        return self.recorded if self.is_next_recorded else self.recorded + 1

    @property
    def completed(self) -> int:
        """The deliveries that a handler was given it and came back, as far as it is known."""
        return self.number - 1
