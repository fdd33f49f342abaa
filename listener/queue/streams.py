"""How much a partition keeps, since when, and how fast it grows. Only looks; changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import redis

from listener.queue.ids import order
from listener.queue.keys import Partition
from listener.queue.reader import stream_info

# The rate is counted by reading the newest entries, one page after the other, at most so many.
MOST_COUNTED = 5_000
PAGE = 500


@dataclass(frozen=True)
class Rate:
    """How many entries were added, and over how many seconds that was counted."""

    entries: int
    seconds: float

    @property
    def per_minute(self) -> float:
        """Entries a minute."""
        return 60 * self.entries / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Stream:
    """A partition's messages.

    Attributes:
        partition: its number.
        entries: how many there are.
        oldest: the id of the first entry; None where there is none.
        newest: likewise of the last one.
        last_id: the id that was given last, also to an entry that is gone.
    """

    partition: int
    entries: int
    oldest: str | None
    newest: str | None
    last_id: str


def look(client: "redis.Redis", where: Partition) -> Stream | None:
    """What a partition keeps; None if its stream is not there. Raises redis.RedisError."""
    info = stream_info(client, where.messages)
    if info is None:
        return None
    first, last = info["first-entry"], info["last-entry"]
    return Stream(
        where.number,
        int(info["length"]),
        str(first[0]) if first else None,
        str(last[0]) if last else None,
        str(info["last-generated-id"]),
    )


def rates(
    client: "redis.Redis", where: Partition, now_ms: int, windows_s: tuple[int, ...]
) -> list[Rate]:
    """How many entries arrived lately, for each window, by the time in the entries' ids.

    An id that lies ahead of the clock says no time: such an entry's field `time` does.

    What was trimmed or deleted does not count. Where more than `MOST_COUNTED` entries arrived
    within a window, only the newest of them are counted, and the rate is that of the shorter time
    that they took. Raises redis.RedisError.
    """
    times = _newest_times(client, where, now_ms, now_ms - max(windows_s) * 1000)
    return [_rate(times, now_ms, window_s) for window_s in windows_s]


def _rate(times: list[int], now_ms: int, window_s: int) -> Rate:
    """Args: the times of the newest entries in ms."""
    within = [time for time in times if time > now_ms - window_s * 1000]
    if len(within) < MOST_COUNTED:
        return Rate(len(within), window_s)
    return Rate(len(within), max((now_ms - min(within)) / 1000, 0.001))


def _newest_times(client: "redis.Redis", where: Partition, now_ms: int, since_ms: int) -> list[int]:
    times: list[int] = []
    last = "+"
    while len(times) < MOST_COUNTED:
        batch: Any = client.xrevrange(where.messages, last, str(max(since_ms, 0)), count=PAGE)
        page = [_time_ms(entry_id, fields, now_ms) for entry_id, fields in batch]
        times += [time for time in page if time is not None]
        if len(batch) < PAGE or all(time is None or time < since_ms for time in page):
            break
        last = f"({batch[-1][0]}"
    return times


def _time_ms(entry_id: str, fields: Mapping[str, str], now_ms: int) -> int | None:
    time_ms = order(entry_id)[0]
    if time_ms <= now_ms:
        return time_ms
    try:
        arrived = datetime.fromisoformat(fields.get("time", ""))
        return min(int(arrived.timestamp() * 1000), now_ms)
    except (ValueError, OverflowError):
        return None
