"""Reads how many messages each partition keeps, how old they are, and at which rate they arrive."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import redis

from listener import entry_ids
from listener.inspection.pages import MAX_SCANNED_BYTES, Projection, pages, stream_info
from listener.queue.keys import Partition

# A rate is counted by reading the newest entries, page by page, up to either limit.
MAX_COUNTED = 5_000
MAX_COUNTED_BYTES = 64 * 2**20
TIME_ONLY = Projection(("time",), max_value_bytes=100, max_bytes=MAX_SCANNED_BYTES)


@dataclass(frozen=True)
class ArrivalRate:
    """A number of entries that were added, and over how many seconds that was counted."""

    entries: int
    seconds: float

    @property
    def per_minute(self) -> float:
        """Entries a minute."""
        return 60 * self.entries / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class StreamStats:
    """The stream of messages of one partition.

    Attributes:
        partition: its number.
        entries: the number of entries.
        oldest: the id of the first entry; None without any.
        newest: the id of the last entry; None without any.
        last_id: the last generated id, whose entry may be gone.
    """

    partition: int
    entries: int
    oldest: str | None
    newest: str | None
    last_id: str


def stream_stats(client: "redis.Redis", partition: Partition) -> StreamStats | None:
    """The figures of a partition's stream; None if it does not exist. Raises redis.RedisError."""
    info = stream_info(client, partition.messages)
    if info is None:
        return None
    first, last = info["first-entry"], info["last-entry"]
    return StreamStats(
        partition.number,
        int(info["length"]),
        str(first[0]) if first else None,
        str(last[0]) if last else None,
        str(info["last-generated-id"]),
    )


def arrival_rates(
    client: "redis.Redis", partition: Partition, now_ms: int, windows_s: tuple[int, ...]
) -> list[ArrivalRate]:
    """The rate at which entries arrived in each window, by the time in the entries' ids.

    An id ahead of the clock has no meaningful time: the entry's field `time` counts instead. Entries
    that were trimmed or deleted do not count. If more than `MAX_COUNTED` entries, or
    `MAX_COUNTED_BYTES` bytes, arrived within a window, only the newest of them are counted, over the
    shorter time in which they arrived. Raises redis.RedisError.
    """
    since_ms = now_ms - max(windows_s) * 1000
    times, is_complete = _newest_times(client, partition, now_ms, since_ms)
    return [_rate(times, now_ms, window_s, is_complete=is_complete) for window_s in windows_s]


def _rate(times: list[int], now_ms: int, window_s: int, *, is_complete: bool) -> ArrivalRate:
    """Args: the times of the newest entries in ms, and whether those cover every window."""
    within = [time for time in times if time > now_ms - window_s * 1000]
    if is_complete or not within or len(within) < len(times):
        return ArrivalRate(len(within), window_s)
    return ArrivalRate(len(within), max((now_ms - min(within)) / 1000, 0.001))


def _newest_times(
    client: "redis.Redis", partition: Partition, now_ms: int, since_ms: int
) -> tuple[list[int], bool]:
    """The times of the newest entries in ms, and whether all entries since `since_ms` are among them."""
    times: list[int] = []
    size = 0
    stream, stop = partition.messages, str(max(since_ms, 0))
    for page in pages(client, stream, "+", stop, projection=TIME_ONLY, newest_first=True):
        if len(times) >= MAX_COUNTED or size >= MAX_COUNTED_BYTES:
            return times, False
        page_times = [_time_ms(entry.entry_id, entry.fields, now_ms) for entry in page.entries]
        times += [time for time in page_times if time is not None]
        size += page.bytes
        if all(time is None or time < since_ms for time in page_times):
            break
    return times, True


def _time_ms(entry_id: str, fields: Mapping[str, str], now_ms: int) -> int | None:
    time_ms = entry_ids.parse(entry_id)[0]
    if time_ms <= now_ms:
        return time_ms
    try:
        arrived = datetime.fromisoformat(fields.get("time", ""))
        return min(int(arrived.timestamp() * 1000), now_ms)
    except (ValueError, OverflowError):
        return None
