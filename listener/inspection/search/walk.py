"""Walks back through several partitions at once, so that all get equally far and what is found stays in one order. Pure."""

from collections.abc import Iterable, Sequence

from listener import entry_ids
from listener.inspection.search.conditions import Position
from listener.inspection.stream_entry import StreamEntry
from listener.queue.keys import Partition


class PartitionWalk:
    """One partition's stream, and how far it was read.

    Attributes:
        stream: its key.
        start: where the next step begins, as XREVRANGE takes it.
        reached: the last entry that was read, or where the walk began.
    """

    def __init__(self, partition: Partition, before: Position | None) -> None:
        self.number = partition.number
        self.stream = partition.messages
        self.start = before.start_in(partition.number) if before else "+"
        self.reached = before or Position(entry_ids.MAX_PART, entry_ids.MAX_PART, partition.number)
        self.is_begun = False
        # Redis refuses a range that ends before the first id.
        self.is_over = self.start == f"({entry_ids.FIRST}"


class Walk:
    """A walk through all partitions, from the newest message to the oldest.

    Attributes:
        read: the number of entries that were read.
        bytes: the size of their fields.
    """

    def __init__(self, partitions: Sequence[Partition], before: Position | None) -> None:
        self.read = 0
        self.bytes = 0
        self._partitions = [PartitionWalk(partition, before) for partition in partitions]
        self._unsettled: list[StreamEntry] = []

    @property
    def floor(self) -> Position | None:
        """Everything above was read, in all partitions; None: everything was."""
        return max((partition.reached for partition in self._open), default=None)

    @property
    def is_further(self) -> bool:
        """Whether something was read in each partition."""
        return all(partition.is_begun for partition in self._open)

    def next_partition(self) -> PartitionWalk | None:
        """The one that is the least far back; None: everything was read."""
        return max(self._open, key=lambda partition: partition.reached, default=None)

    def went(
        self,
        partition: PartitionWalk,
        read: int,
        size: int,
        last: str,
        found: Iterable[StreamEntry],
    ) -> None:
        """Notes a step.

        Args:
            partition: where.
            read: how many entries it looked at.
            size: of how many bytes.
            last: the id of the last one; empty: nothing is left.
            found: the entries that are wanted.
        """
        self.read += read
        self.bytes += size
        self._unsettled += found
        partition.is_begun, partition.is_over = True, not last
        if last:
            partition.start = f"({last}"
            partition.reached = Position(*entry_ids.parse(last), partition.number)

    def settled(self) -> list[StreamEntry]:
        """The entries that no other can precede any more, newest first; each is returned once."""
        floor = self.floor
        ordered = sorted(self._unsettled, key=lambda entry: entry.order, reverse=True)
        settled = [entry for entry in ordered if floor is None or Position.of(entry) >= floor]
        self._unsettled = ordered[len(settled) :]
        return settled

    @property
    def _open(self) -> list[PartitionWalk]:
        return [partition for partition in self._partitions if not partition.is_over]
