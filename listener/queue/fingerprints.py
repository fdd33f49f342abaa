"""Restores fingerprints that Redis forgot while a message waited in the spool, and decides on those of release 0.1."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import redis

from listener.messages.message import Message
from listener.queue.keys import ARRIVALS_TTL_S, Partition, fingerprint_field
from listener.queue.redis_errors import unavailable
from listener.redis_client.script import EvalScript, Script
from listener.spool.journal_rows import Spooled

# Fingerprints expire by the clock of Redis, and a write may be carried out late.
SLACK_MS = 5_000
# The largest page, in entries and roughly in bytes: a message may have megabytes, and a page has to arrive
# within the time limit of a reply. The first page is small, because the messages' size is not known yet.
PAGE = 128
PAGE_BYTES = 2**18
FIRST_PAGE = 8
# By the clock of the server that makes the entry ids, whichever node of a Cluster that is.
TIME = "return redis.call('TIME')"

# How long replicas of release 0.1 may run beside this one, in seconds.
DEPLOYMENT_S = 24 * 3600
# An operator may begin the transition again.
REFRESH_S = 60


class Journal(Protocol):
    """What the search asks of the spool. Each method raises QueueUnavailableError."""

    def last_place(self) -> int:
        """The greatest place in it; 0 if nothing waits."""

    def waiting_among(self, ids: Sequence[str]) -> set[str]:
        """Those of the messages with these ids that wait."""


class StringFingerprints:
    """Whether a partition's fingerprints are string keys as well. Threads share it.

    Release 0.1 knows only string keys. A replica that reads and writes them, too, may run beside it, whatever the
    other replicas do. The end of that time stands in Redis, in ms since 1970, as of the first replica that asks: a
    day and a window later, or 0 if the stream never had an entry.
    """

    def __init__(self, client: "redis.Redis", partition: Partition, window_s: int) -> None:
        """Asks nothing yet."""
        self._client = client
        self._partition = partition
        self._window_s = window_s
        self._until_ms = 0
        self._asked_at: float | None = None

    def are_used(self, now: float) -> bool:
        """Whether they are, at a time in seconds since 1970. Asks Redis at the first call, and once a minute.

        They are used as well if Redis does not say it: that is right at any time, and the write reports the cause.
        """
        if self._asked_at is None or abs(now - self._asked_at) >= REFRESH_S:
            try:
                self._until_ms = self._ask(now)
            except (redis.RedisError, TypeError, ValueError):
                return True
            self._asked_at = now
        return now * 1000 < self._until_ms

    def _ask(self, now: float) -> int:
        key = self._partition.fingerprint_strings
        stored: Any = self._client.get(key)
        if stored is None:
            until_s = now + DEPLOYMENT_S + self._window_s if self._had_entries() else 0
            until_ms = int(until_s * 1000)
            if self._client.set(key, until_ms, nx=True):
                return until_ms
            # Another process was first.
            stored = self._client.get(key)
        return int(stored)

    def _had_entries(self) -> bool:
        try:
            info: Any = self._client.xinfo_stream(self._partition.messages)
        except redis.ResponseError as error:
            # Other errors do not say that there is no stream.
            return "no such key" not in str(error)
        return bool(info["last-generated-id"] != b"0-0")


class FingerprintRestorer:
    """Makes Redis remember spooled messages again whose fingerprint has expired. For one partition and thread.

    A message is a duplicate if a copy entered the stream within the window before its arrival, or after it.
    As long as Redis remembers that copy, enqueue.lua recognises it. The copies whose fingerprints expired
    while the messages waited entered the stream one window earlier: that part of the stream is read once
    for all messages that wait, page by page.
    """

    def __init__(
        self,
        client: "redis.Redis",
        partition: Partition,
        window_s: int,
        journal: Journal,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Reads nothing yet; the clock is the one that gives messages their time of arrival."""
        self._client = client
        self._partition = partition
        self._window_s = window_s
        self._window_ms = int(timedelta(seconds=window_s) / timedelta(milliseconds=1))
        self._journal = journal
        self._clock = clock
        self._script = EvalScript(client, Script.load("listener.queue", "enqueue.lua").text)
        self._strings = StringFingerprints(client, partition, window_s)
        # The greatest place in the journal when the stream was read, and which span of time was read.
        self._up_to = 0
        self._span: tuple[int, int] | None = None
        self._page = FIRST_PAGE
        # Entries of messages that wait, by message id.
        self._entries: dict[str, list[str]] = defaultdict(list)

    def restore(self, batch: Sequence[Spooled]) -> None:
        """Restores the fingerprints of those of the messages that are in the stream.

        Raises:
            QueueUnavailableError: the stream cannot be searched.
        """
        try:
            self._restore(batch)
        except redis.RedisError as error:
            raise unavailable(error) from error

    def _restore(self, batch: Sequence[Spooled]) -> None:
        if max(spooled.place for spooled in batch) > self._up_to:
            # These were journalled after the stream was read, and so were not compared with it.
            self._up_to = self._journal.last_place()
            self._span, self._entries = None, defaultdict(list)
        offset_ms, tolerance_ms = self._clock_offset_ms()
        arrivals = {each.message.id: _arrival_ms(each.message) + offset_ms for each in batch}
        around_ms = self._window_ms + tolerance_ms
        first, last = min(arrivals.values()) - around_ms, max(arrivals.values()) + around_ms
        now_ms = _ms(self._clock()) + offset_ms
        # The fingerprints of later entries have not expired.
        self._extend(first, min(last, now_ms - self._window_ms + SLACK_MS))
        for message_id, arrived_ms in arrivals.items():
            for entry_id in self._entries.get(message_id, ()):
                if abs(_entry_ms(entry_id) - arrived_ms) <= around_ms:
                    self._remember(message_id, entry_id)

    def _remember(self, message_id: str, entry_id: str) -> None:
        """Has Redis remember an entry for a window from now, unless it remembers one with this fingerprint."""
        partition, now_ms = self._partition, _ms(self._clock())
        keys = [partition.messages, partition.arrival_counts(0)]
        keys.append(partition.fingerprint_hash(message_id))
        if self._strings.are_used(now_ms / 1000):
            keys.append(partition.fingerprint_string(message_id))
        args = (self._window_s, 0, ARRIVALS_TTL_S, now_ms, len(keys) - 2)
        self._script(keys, [*args, "", fingerprint_field(message_id), 1, entry_id])

    def _extend(self, first: int, last: int) -> None:
        """Reads the part of a span of time that was not read yet, in milliseconds of Redis's clock."""
        if self._span is None:
            self._search(first, last)
            self._span = first, last
            return
        begin, end = self._span
        if first < begin:
            self._search(first, begin - 1)
        if last > end:
            self._search(end + 1, last)
        self._span = min(first, begin), max(last, end)

    def _search(self, first: int, last: int) -> None:
        for page in self._pages(first, last):
            ids = {entry_id: fields.get(b"id", b"").decode() for entry_id, fields in page}
            waiting = self._journal.waiting_among(list(ids.values()))
            for entry_id, message_id in ids.items():
                if message_id in waiting:
                    self._entries[message_id].append(entry_id.decode())

    def _pages(self, first: int, last: int) -> Iterator[Any]:
        start = str(max(first, 0))
        while last >= 0:
            count = self._page
            try:
                page: Any = self._client.xrange(
                    self._partition.messages, start, str(last), count=count
                )
            except (redis.TimeoutError, redis.ConnectionError):
                if count == 1:
                    raise
                # Too much for the time limit, or for a proxy in front of Redis.
                self._page = max(count // 4, 1)
                continue
            yield page
            if len(page) < count:
                return
            self._page = _next_page(count, page)
            start = f"({page[-1][0].decode()}"

    def _clock_offset_ms(self) -> tuple[int, int]:
        """How far Redis's clock is ahead of ours, and by how much that may be wrong."""
        try:
            time: Any = self._client.eval(TIME, 1, self._partition.ready)
        except redis.ResponseError:
            # Few users lack this right, and few clocks are that far apart.
            return 0, SLACK_MS
        seconds, microseconds = (int(part) for part in time)
        return seconds * 1000 + microseconds // 1000 - _ms(self._clock()), 0


def _next_page(count: int, page: Any) -> int:
    size = sum(len(fields.get(b"data", b"")) for _, fields in page)
    if size > PAGE_BYTES:
        return max(count // 2, 1)
    return min(count * 2, PAGE) if size < PAGE_BYTES / 4 else count


def _arrival_ms(message: Message) -> int:
    return _ms(datetime.fromisoformat(message.time))


def _entry_ms(entry_id: str) -> int:
    return int(entry_id.partition("-")[0])


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
