"""Reads, validates again and deletes quarantined messages: those refused from authenticated senders."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import redis

from listener.inspection.entries import snapshot
from listener.inspection.pages import ALL_FIELDS, Projection, pages
from listener.inspection.stream_entry import StreamEntry
from listener.messages.message import Message, check_account
from listener.messages.payload import parse
from listener.queue.keys import Partition
from listener.settings.settings import Settings
from listener.times import entry_time

# What a list shows of a message.
SUMMARY = Projection(max_value_bytes=1000)
# The status page reads in a process of the service.
MAX_NEWEST_BYTES = 16 * 2**20


@dataclass(frozen=True)
class QuarantinedMessage:
    """A body that was refused.

    Attributes:
        reason: why, in a word.
        data: its text, or as much of it as was read; it may be no JSON.
        time: when it arrived, RFC 3339.
        bytes: the size of the refused text; greater than that of `data` if only its beginning was kept or read.
    """

    entry_id: str
    reason: str
    data: str
    time: str
    bytes: int

    def message(self, settings: Settings) -> Message:
        """Validates it again, by the current settings. It keeps the time at which it arrived.

        Raises:
            RefusalError: it is still refused; also as `not-json` if credentials were cut out of its text.
        """
        payload = parse(self.data.encode())
        check_account(payload, settings)
        request_id = f"quarantine-{self.entry_id}"
        return Message.from_payload(payload, arrived=self._arrived(), request_id=request_id)

    def _arrived(self) -> datetime:
        try:
            return datetime.fromisoformat(self.time).astimezone(UTC)
        except (ValueError, OverflowError):
            # An entry that somebody added by hand: its id says when.
            return entry_time(self.entry_id) or datetime.now(UTC)


def read_quarantine(
    client: "redis.Redis",
    partition: Partition,
    *,
    only: str | None = None,
    first: str = "-",
    projection: Projection = ALL_FIELDS,
) -> Iterator[QuarantinedMessage]:
    """The messages in the quarantine, the oldest first. Raises redis.RedisError.

    Leaves out messages that are added meanwhile.

    Args:
        client: one that decodes responses.
        partition: partition 0, which has the quarantine.
        only: the id of the only message that is wanted.
        first: the id from which on messages are wanted.
        projection: what to read of each.
    """
    stream = partition.quarantine
    for entry in snapshot(client, stream, only=only, first=first, projection=projection):
        yield _parse(entry)


def newest_quarantined(
    client: "redis.Redis", partition: Partition, limit: int
) -> list[QuarantinedMessage]:
    """The beginnings of at most `limit` messages, the newest first; fewer if they have megabytes.

    Raises redis.RedisError.
    """
    projection = replace(SUMMARY, max_entries=limit, max_bytes=MAX_NEWEST_BYTES)
    newest_first = pages(
        client, partition.quarantine, "+", "-", projection=projection, newest_first=True
    )
    page = next(newest_first, None)
    return [_parse(entry) for entry in page.entries] if page else []


def delete_quarantined(client: "redis.Redis", partition: Partition, entry_id: str) -> bool:
    """Deletes a message; False if it was gone. Raises redis.RedisError."""
    return bool(client.xdel(partition.quarantine, entry_id))


def _parse(entry: StreamEntry) -> QuarantinedMessage:
    fields = entry.fields
    data = fields.get("data", "")
    # An entry that somebody added by hand has no such field.
    stored = fields.get("bytes", "")
    is_number = stored.isdecimal() and len(stored) < 20
    size = int(stored) if is_number else entry.cut.get("data", len(data.encode()))
    return QuarantinedMessage(
        entry.entry_id, fields.get("reason", "?"), data, fields.get("time", ""), size
    )
