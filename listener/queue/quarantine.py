"""What was refused from senders that proved themselves: to look at, to try again, or to drop."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import redis

from listener import auth, messages
from listener.messages import Message
from listener.moments import moment_of
from listener.queue.keys import Partition
from listener.queue.reader import standing
from listener.settings import Settings


@dataclass(frozen=True)
class Refused:
    """A body that was refused: why, and when it arrived (RFC 3339). `data` may be no JSON."""

    entry_id: str
    reason: str
    data: str
    time: str

    def message(self, settings: Settings) -> Message:
        """Validates it again, by the settings of now. It keeps the time at which it arrived.

        Raises:
            RefusalError: it is still refused; or `not-json` again, of a body whose credentials were
                cut out as text.
        """
        payload = messages.parse(self.data.encode())
        auth.check_account(payload, settings)
        request_id = f"quarantine-{self.entry_id}"
        return messages.validate(payload, arrived=self._arrived(), request_id=request_id)

    def _arrived(self) -> datetime:
        try:
            return datetime.fromisoformat(self.time).astimezone(UTC)
        except (ValueError, OverflowError):
            # Somebody else's entry: its id says when it came.
            return moment_of(self.entry_id) or datetime.now(UTC)


def refused(
    client: "redis.Redis", where: Partition, *, only: str | None = None
) -> Iterator[Refused]:
    """What is in the quarantine, the oldest first. Raises redis.RedisError.

    What is added while this runs is left out.

    Args:
        client: one that decodes responses.
        where: partition 0: the quarantine is there.
        only: the id of the one that is wanted.
    """
    for entry in standing(client, where.quarantine, only=only):
        yield _refused(entry.entry_id, entry.fields)


def newest(client: "redis.Redis", where: Partition, most: int) -> list[Refused]:
    """What came last, the newest first, `most` at most. Raises redis.RedisError."""
    found: Any = client.xrevrange(where.quarantine, count=most)
    return [_refused(entry_id, fields) for entry_id, fields in found]


def _refused(entry_id: str, fields: Mapping[str, str]) -> Refused:
    return Refused(
        entry_id,
        fields.get("reason", "?"),
        fields.get("data", ""),
        fields.get("time", ""),
    )


def drop(client: "redis.Redis", where: Partition, entry_id: str) -> bool:
    """Deletes one; false if it was gone. Raises redis.RedisError."""
    return bool(client.xdel(where.quarantine, entry_id))
