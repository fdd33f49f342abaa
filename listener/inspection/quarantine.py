"""What was refused from senders that proved themselves: to look at, to try again, or to drop."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import redis

from listener.inspection.entries import standing
from listener.inspection.pages import WHOLE, Entry, Part, pages
from listener.messages.message import Message, check_account
from listener.messages.payload import parse
from listener.queue.keys import Partition
from listener.settings.settings import Settings
from listener.times import entry_time

# What a list shows of one.
SHORT = Part(longest=1000)
# The status page has the service's own process read.
MOST_BYTES_SHOWN = 16 * 2**20


@dataclass(frozen=True)
class Refused:
    """A body that was refused.

    Attributes:
        reason: why.
        data: its text, or as much of it as was read; it may be no JSON.
        time: when it arrived, RFC 3339.
        bytes: how large the refused text was; more than `data` has where only its beginning was kept or read.
    """

    entry_id: str
    reason: str
    data: str
    time: str
    bytes: int

    def message(self, settings: Settings) -> Message:
        """Validates it again, by the settings of now. It keeps the time at which it arrived.

        Raises:
            RefusalError: it is still refused; or `not-json` again, of a body whose credentials were
                cut out as text.
        """
        payload = parse(self.data.encode())
        check_account(payload, settings)
        request_id = f"quarantine-{self.entry_id}"
        return Message.from_payload(payload, arrived=self._arrived(), request_id=request_id)

    def _arrived(self) -> datetime:
        try:
            return datetime.fromisoformat(self.time).astimezone(UTC)
        except (ValueError, OverflowError):
            # Somebody else's entry: its id says when it came.
            return entry_time(self.entry_id) or datetime.now(UTC)


def refused(
    client: "redis.Redis", where: Partition, *, only: str | None = None, part: Part = WHOLE
) -> Iterator[Refused]:
    """What is in the quarantine, the oldest first. Raises redis.RedisError.

    What is added while this runs is left out.

    Args:
        client: one that decodes responses.
        where: partition 0: the quarantine is there.
        only: the id of the one that is wanted.
        part: how much to read of each.
    """
    for entry in standing(client, where.quarantine, only=only, part=part):
        yield _refused(entry)


def newest(client: "redis.Redis", where: Partition, most: int) -> list[Refused]:
    """The beginnings of what came last, the newest first. Raises redis.RedisError.

    `most` at the most, and fewer where those before them have megabytes.
    """
    part = replace(SHORT, entries=most, bytes=MOST_BYTES_SHOWN)
    page = next(pages(client, where.quarantine, "+", "-", part=part, newest_first=True), None)
    return [_refused(entry) for entry in page.entries] if page else []


def _refused(entry: Entry) -> Refused:
    fields = entry.fields
    data = fields.get("data", "")
    # An entry that somebody added by hand does not say it.
    told = fields.get("bytes", "")
    size = int(told) if told.isdecimal() and len(told) < 20 else entry.cut.get("data")
    return Refused(
        entry.entry_id,
        fields.get("reason", "?"),
        data,
        fields.get("time", ""),
        len(data.encode()) if size is None else size,
    )


def drop(client: "redis.Redis", where: Partition, entry_id: str) -> bool:
    """Deletes one; false if it was gone. Raises redis.RedisError."""
    return bool(client.xdel(where.quarantine, entry_id))
