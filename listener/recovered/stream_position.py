"""How far a stream was read into the index, and whether something was trimmed before it was read. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from listener import entry_ids


@dataclass(frozen=True)
class StreamState:
    """How a stream stands.

    Attributes:
        length: the number of its entries.
        last_id: the last generated id, whose entry may be gone.
        first: the id of the first entry; None without any.
        last: the id of the last entry; None without any.
        added: how many entries it has had; None: the server does not count them (before Redis 7).
        max_deleted: the greatest id that was deleted, other than by trimming the old end; None as for `added`.
    """

    length: int
    last_id: str
    first: str | None
    last: str | None
    added: int | None = None
    max_deleted: str | None = None

    @classmethod
    def from_reply(cls, reply: Sequence[Any]) -> Self:
        """Reads the first values of the reply of `next_page.lua`."""
        length, last_id, first, last, added, max_deleted = reply
        return cls(
            int(length),
            str(last_id),
            first or None,
            last or None,
            int(added) if added != "" else None,
            max_deleted or None,
        )


@dataclass(frozen=True)
class StreamPosition:
    """How far a partition's stream was read.

    Attributes:
        cursor: the id of the last entry that was read.
        added: how many entries the stream had had up to the cursor; None: the server did not count them.
        complete_since_ms: of what arrived after it everything was read; earlier messages may have been
            trimmed before. Milliseconds since 1970.
        end_ms: when the end was reached last, in milliseconds since 1970; 0: never.
        began_ms: when the first page was read, in milliseconds since 1970; 0: none was.
        guessed_ms: when the last message without a subject arrived, in milliseconds since 1970; 0: none did.
    """

    cursor: str = entry_ids.FIRST
    added: int | None = 0
    complete_since_ms: int = 0
    end_ms: int = 0
    began_ms: int = 0
    guessed_ms: int = 0

    @classmethod
    def from_fields(cls, fields: dict[str, str]) -> Self:
        """Reads the stored hash; an empty one is the beginning."""
        if not fields:
            return cls()
        added = fields.get("added", "")
        return cls(
            fields.get("cursor", entry_ids.FIRST),
            int(added) if added else None,
            int(fields.get("complete_since_ms", 0)),
            int(fields.get("end_ms", 0)),
            int(fields.get("began_ms", 0)),
            int(fields.get("guessed_ms", 0)),
        )

    def fields(self) -> dict[str, str | int]:
        """The hash to store."""
        return {
            "cursor": self.cursor,
            "added": "" if self.added is None else self.added,
            "complete_since_ms": self.complete_since_ms,
            "end_ms": self.end_ms,
            "began_ms": self.began_ms,
            "guessed_ms": self.guessed_ms,
        }

    def advance(
        self, stream: StreamState | None, read: Sequence[str], *, now_ms: int, kept_ms: int
    ) -> Self:
        """The position after a page.

        Args:
            stream: as it was when the page was read; None: there was none.
            read: the ids of the page's entries; empty: there was nothing behind the cursor.
            now_ms: the time, in milliseconds since 1970.
            kept_ms: how long the service keeps every entry at the least; 0: not known. Decides on a server
                that does not count what it added.
        """
        gap_ms = self._gap_end_ms(stream, now_ms, kept_ms)
        known = replace(
            self,
            complete_since_ms=max(self.complete_since_ms, gap_ms),
            began_ms=self.began_ms or now_ms,
        )
        if stream is None or _order(stream.last_id) < _order(self.cursor):
            # It was deleted, or is an older copy: whatever it has now is new.
            return replace(known, cursor=entry_ids.FIRST, added=0, end_ms=0 if stream else now_ms)
        if not read or read[-1] == stream.last:
            return replace(known, cursor=stream.last_id, added=stream.added, end_ms=now_ms)
        return replace(known, cursor=read[-1], added=self._added_after(stream, len(read)))

    def incomplete_until(self, until_ms: int) -> Self:
        """The same, but for a message of that time which could not be read."""
        return replace(self, complete_since_ms=max(self.complete_since_ms, until_ms))

    def guessed_at(self, arrived_ms: int) -> Self:
        """The same, after a message of that time without a subject."""
        return replace(self, guessed_ms=max(self.guessed_ms, arrived_ms))

    def is_at_end_of(self, stream: StreamState | None) -> bool:
        """Whether nothing stood behind this position in the stream."""
        return self.cursor == (stream.last_id if stream else entry_ids.FIRST)

    def _added_after(self, stream: StreamState, read: int) -> int | None:
        before = self.added
        if self._is_behind(stream.first):
            before = None if stream.added is None else stream.added - stream.length
        return None if before is None else before + read

    def _gap_end_ms(self, stream: StreamState | None, now_ms: int, kept_ms: int) -> int:
        """When the last entry that was trimmed unread had arrived, at the latest; 0: none was."""
        if stream is None:
            return 0 if self.cursor == entry_ids.FIRST else now_ms
        if _order(stream.last_id) < _order(self.cursor):
            return now_ms
        ends = [stream.max_deleted] if self._is_behind(stream.max_deleted) else []
        first = stream.first or stream.last_id
        if self._is_behind(first) and not self._follows(stream, now_ms, kept_ms):
            ends.append(first)
        return max((entry_ids.parse(end)[0] for end in ends if end), default=0)

    def _is_behind(self, entry_id: str | None) -> bool:
        return entry_id is not None and _order(entry_id) > _order(self.cursor)

    def _follows(self, stream: StreamState, now_ms: int, kept_ms: int) -> bool:
        """Whether the stream's first entry is the one that was added next after the cursor's."""
        if stream.added is not None and self.added is not None:
            return stream.added - stream.length == self.added
        # What came since the end was reached is too young to have been trimmed, and the cursor's entry is
        # old enough to have been.
        cursor_ms = entry_ids.parse(self.cursor)[0]
        return now_ms - self.end_ms < kept_ms < now_ms - cursor_ms


def _order(entry_id: str) -> tuple[int, int]:
    return entry_ids.parse(entry_id)
