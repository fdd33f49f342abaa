"""Finds messages from the spool in the stream that were written there before they are moved."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import redis

from listener.messages.message import Message
from listener.queue.keys import Partition
from listener.queue.redis_errors import unavailable
from listener.spool.journal_rows import Spooled

# Fingerprints live by the clock of Redis, and a write may be carried out late.
SLACK_MS = 5_000
# The greatest number of entries at once, and of bytes, roughly: a message may have megabytes, and a page has
# to come within the time limit of a reply. The first page is small, because nothing is known yet.
PAGE = 128
PAGE_BYTES = 2**18
FIRST_PAGE = 8
# By the clock of the server that makes the entry ids, whichever node of a Cluster that is.
TIME = "return redis.call('TIME')"


class Journal(Protocol):
    """What the search asks of the journal. Each raises QueueUnavailableError."""

    def last_place(self) -> int:
        """The greatest place in it; 0 if nothing waits."""

    def waiting_among(self, ids: Sequence[str]) -> set[str]:
        """Those of the messages with these ids that wait."""


class FingerprintRestorer:
    """Has Redis know journalled messages again whose fingerprint it has forgotten. For one partition and thread.

    A message is a duplicate if a copy entered the stream within the window before its arrival, or after it. As
    long as Redis remembers that copy, the script sees to it. What it has forgotten meanwhile entered
    the stream in as long a time as the message waited, one window ago: that part of the stream is read
    once for all messages that wait, page by page.
    """

    def __init__(
        self,
        client: "redis.Redis",
        where: Partition,
        window_s: int,
        journalled: Journal,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Reads nothing yet; the clock is the one by which messages have their time of arrival."""
        self._client = client
        self._where = where
        self._window_s = window_s
        self._window_ms = int(timedelta(seconds=window_s) / timedelta(milliseconds=1))
        self._journalled = journalled
        self._clock = clock
        self._up_to = 0
        self._read: tuple[int, int] | None = None
        self._page = FIRST_PAGE
        # Entries of messages that wait, by message id.
        self._found: dict[str, list[str]] = defaultdict(list)

    def restore(self, batch: Sequence[Spooled]) -> None:
        """Remembers again, in Redis, the entries of those of the messages that are in the stream.

        Raises:
            QueueUnavailableError: they cannot be looked for.
        """
        try:
            self._restore(batch)
        except redis.RedisError as error:
            raise unavailable(error) from error

    def _restore(self, batch: Sequence[Spooled]) -> None:
        if max(spooled.place for spooled in batch) > self._up_to:
            # They came after the stream was read: what was read has not been compared with them.
            self._up_to, self._read, self._found = (
                self._journalled.last_place(),
                None,
                defaultdict(list),
            )
        offset_ms, tolerance_ms = self._offset_ms()
        arrivals = {each.message.id: _arrival_ms(each.message) + offset_ms for each in batch}
        around_ms = self._window_ms + tolerance_ms
        first, last = min(arrivals.values()) - around_ms, max(arrivals.values()) + around_ms
        now_ms = _ms(self._clock()) + offset_ms
        # What is younger Redis remembers by itself.
        self._read_up(first, min(last, now_ms - self._window_ms + SLACK_MS))
        for message_id, arrived_ms in arrivals.items():
            for entry_id in self._found.get(message_id, ()):
                if abs(_entry_ms(entry_id) - arrived_ms) <= around_ms:
                    self._remember(message_id, entry_id)

    def _remember(self, message_id: str, entry_id: str) -> None:
        self._client.set(self._where.fingerprint(message_id), entry_id, ex=self._window_s, nx=True)

    def _read_up(self, first: int, last: int) -> None:
        """Reads what was not read yet of a span of time, in milliseconds of Redis's clock."""
        if self._read is None:
            self._look_through(first, last)
            self._read = first, last
            return
        begin, end = self._read
        if first < begin:
            self._look_through(first, begin - 1)
        if last > end:
            self._look_through(end + 1, last)
        self._read = min(first, begin), max(last, end)

    def _look_through(self, first: int, last: int) -> None:
        for page in self._pages(first, last):
            ids = {entry_id: fields.get(b"id", b"").decode() for entry_id, fields in page}
            waiting = self._journalled.waiting_among(list(ids.values()))
            for entry_id, message_id in ids.items():
                if message_id in waiting:
                    self._found[message_id].append(entry_id.decode())

    def _pages(self, first: int, last: int) -> Iterator[Any]:
        start = str(max(first, 0))
        while last >= 0:
            asked = self._page
            try:
                page: Any = self._client.xrange(self._where.messages, start, str(last), count=asked)
            except (redis.TimeoutError, redis.ConnectionError):
                if asked == 1:
                    raise
                # Too much for the time limit, or for what stands before Redis.
                self._page = max(asked // 4, 1)
                continue
            yield page
            if len(page) < asked:
                return
            self._page = _next_page(asked, page)
            start = f"({page[-1][0].decode()}"

    def _offset_ms(self) -> tuple[int, int]:
        """How far Redis's clock is ahead of ours, and by how much that may be wrong."""
        try:
            told: Any = self._client.eval(TIME, 1, self._where.ready)
        except redis.ResponseError:
            # Few users may not ask, and few clocks are that far apart.
            return 0, SLACK_MS
        seconds, microseconds = (int(part) for part in told)
        return seconds * 1000 + microseconds // 1000 - _ms(self._clock()), 0


def _next_page(asked: int, page: Any) -> int:
    size = sum(len(fields.get(b"data", b"")) for _, fields in page)
    if size > PAGE_BYTES:
        return max(asked // 2, 1)
    return min(asked * 2, PAGE) if size < PAGE_BYTES / 4 else asked


def _arrival_ms(message: Message) -> int:
    return _ms(datetime.fromisoformat(message.time))


def _entry_ms(entry_id: str) -> int:
    return int(entry_id.partition("-")[0])


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
