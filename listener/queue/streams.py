"""How much a partition keeps, since when, and how fast it grows. Only looks; changes nothing."""

from dataclasses import dataclass
from typing import Any

import redis

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
    """A partition's messages; the ids are None where there are none."""

    partition: int
    entries: int
    oldest: str | None
    newest: str | None


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
    )


def rates(
    client: "redis.Redis", where: Partition, now_ms: int, windows_s: tuple[int, ...]
) -> list[Rate]:
    """How many entries arrived lately, for each window, by the time in the entries' ids.

    What was trimmed or deleted does not count. Where more than `MOST_COUNTED` entries arrived
    within a window, only the newest of them are counted, and the rate is that of the shorter time
    that they took. Raises redis.RedisError.
    """
    times = _newest_times(client, where, now_ms - max(windows_s) * 1000)
    return [_rate(times, now_ms, window_s) for window_s in windows_s]


def _rate(times: list[int], now_ms: int, window_s: int) -> Rate:
    """Args: the times of the newest entries in ms, newest first."""
    within = [time for time in times if time > now_ms - window_s * 1000]
    if len(within) < MOST_COUNTED:
        return Rate(len(within), window_s)
    return Rate(len(within), max((now_ms - within[-1]) / 1000, 0.001))


def _newest_times(client: "redis.Redis", where: Partition, since_ms: int) -> list[int]:
    times: list[int] = []
    last = "+"
    while len(times) < MOST_COUNTED:
        batch: Any = client.xrevrange(where.messages, last, str(max(since_ms, 0)), count=PAGE)
        times += [int(entry_id.partition("-")[0]) for entry_id, _ in batch]
        if len(batch) < PAGE:
            break
        last = f"({batch[-1][0]}"
    return times
