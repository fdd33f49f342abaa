"""StreamEntry: one entry of a stream as its readers show it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from listener import entry_ids


@dataclass(frozen=True)
class StreamEntry:
    """One entry of a stream, or a part of it.

    Attributes:
        entry_id: its id in the stream.
        fields: the fields that were asked for.
        partition: its number.
        cut: the whole size in bytes of each field of which only the beginning was read.
    """

    entry_id: str
    fields: Mapping[str, str]
    partition: int = 0
    cut: Mapping[str, int] = field(default_factory=dict)

    @property
    def order(self) -> tuple[int, int, int]:
        """The sort key over all partitions: by time, as far as the servers' clocks agree."""
        return (*entry_ids.parse(self.entry_id), self.partition)
