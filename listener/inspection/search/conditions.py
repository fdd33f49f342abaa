"""What a backward search looks for, and the position from which it goes on. Pure."""

from dataclasses import dataclass, field
from typing import Self

from listener import entry_ids
from listener.inspection.entry_filter import EntryFilter, concerns_upgrade, normalized
from listener.inspection.stream_entry import StreamEntry

# Of an id that is looked for, as a pattern in Redis.
MAX_PATTERN_CHARS = 64
# A pattern that matches no text: `search.lua` then takes those alone that have unusual letters.
NEVER = "[^%z%Z]"


@dataclass(frozen=True, order=True)
class Position:
    """A place between two entries of the queue: behind all that come before this id and partition."""

    time_ms: int
    number: int
    partition: int = 0

    @classmethod
    def of(cls, entry: StreamEntry) -> Self:
        """Where a search continues that ended with this entry."""
        return cls(*entry.order)

    @classmethod
    def read(cls, text: str) -> Self:
        """Reads what `str` wrote. Raises ValueError."""
        parts = text.split("-")
        if len(parts) != 3 or not all(part.isascii() and part.isdecimal() for part in parts):
            raise ValueError("must be a position such as 1795408318250-0-0")
        time_ms, number, partition = map(int, parts)
        if max(time_ms, number, partition) > entry_ids.MAX_PART:
            raise ValueError("is beyond the greatest entry id")
        return cls(time_ms, number, partition)

    def __str__(self) -> str:
        return f"{self.time_ms}-{self.number}-{self.partition}"

    @property
    def entry_id(self) -> str:
        """The entry id in it."""
        return f"{self.time_ms}-{self.number}"

    def start_in(self, partition: int) -> str:
        """Where XREVRANGE begins in a partition."""
        return self.entry_id if partition < self.partition else f"({self.entry_id}"


@dataclass(frozen=True)
class Wanted:
    """Which entries a search returns.

    Attributes:
        filter: kinds, account, device, and the beginning of an upgrade's id.
        subject: the whole id of an upgrade as it stands in the entries; empty: any.
        message_id: the field `id`; empty: any.
        oldest: the entry id at which the search ends.
    """

    filter: EntryFilter = field(default_factory=EntryFilter)
    subject: str = ""
    message_id: str = ""
    oldest: str = "-"

    def matches(self, entry: StreamEntry, *, by_text: bool) -> bool:
        """Whether an entry is wanted.

        Args:
            entry: with the fields `FIELDS`.
            by_text: whether the text of its data holds the device's id: decides where the data were cut.
        """
        fields, wanted = entry.fields, self.filter
        if self.message_id and fields.get("id") != self.message_id:
            return False
        if self.subject and fields.get("subject") != self.subject:
            key = normalized(self.subject)
            if not key or not concerns_upgrade(fields, key, whole=True):
                return False
        if wanted.device and "data" in entry.cut:
            others = EntryFilter(wanted.kinds, wanted.account, wanted.upgrade, wanted.whole_upgrade)
            return by_text and others.matches(entry)
        return wanted.matches(entry)

    def arguments(self) -> list[str]:
        """The conditions as `search.lua` takes them."""
        device, upgrade = self.filter.device, normalized(self.subject) or self.filter.upgrade
        return [
            self.message_id,
            self.filter.account or "",
            " ".join(self.filter.kinds),
            # A subject that nobody writes, where its pattern decides alone.
            self.subject or ("\0" if upgrade else ""),
            _pattern(upgrade) if upgrade and upgrade.isascii() else NEVER,
            "" if device is None else _pattern(device.needle) if device.key.isascii() else NEVER,
        ]


def _pattern(key: str) -> str:
    """A Lua pattern for letters and digits with anything else between them, in any letter case."""
    letters = key[:MAX_PATTERN_CHARS]
    return "%W*".join(
        f"[{letter.upper()}{letter.lower()}]" if letter.isalpha() else letter for letter in letters
    )
