"""How much a partition keeps, since when, and how fast it grows. Only looks; changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import redis

from listener import entry_ids
from listener.inspection.pages import MOST_BYTES_READ, Part, pages, stream_info
from listener.queue.keys import Partition

# The rate is counted by reading the newest entries, one page after the other, at most so many.
MOST_COUNTED = 5_000
MOST_BYTES_COUNTED = 64 * 2**20
TIMES = Part(("time",), longest=100, bytes=MOST_BYTES_READ)


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

    What was trimmed or deleted does not count. Where more than `MOST_COUNTED` entries, or than
    `MOST_BYTES_COUNTED` bytes, arrived within a window, only the newest of them are counted, and the rate is that of the shorter time
    that they took. Raises redis.RedisError.
    """
    times, is_all = _newest_times(client, where, now_ms, now_ms - max(windows_s) * 1000)
    return [_rate(times, now_ms, window_s, is_all=is_all) for window_s in windows_s]


def _rate(times: list[int], now_ms: int, window_s: int, *, is_all: bool) -> Rate:
    """Args: the times of the newest entries in ms, and whether those of every window are among them."""
    within = [time for time in times if time > now_ms - window_s * 1000]
    if is_all or not within or len(within) < len(times):
        return Rate(len(within), window_s)
    return Rate(len(within), max((now_ms - min(within)) / 1000, 0.001))


def _newest_times(
    client: "redis.Redis", where: Partition, now_ms: int, since_ms: int
) -> tuple[list[int], bool]:
    """The times in ms, and whether those are all since then."""
    times: list[int] = []
    read = 0
    stop = str(max(since_ms, 0))
    for page in pages(client, where.messages, "+", stop, part=TIMES, newest_first=True):
        if len(times) >= MOST_COUNTED or read >= MOST_BYTES_COUNTED:
            return times, False
        found = [_time_ms(entry.entry_id, entry.fields, now_ms) for entry in page.entries]
        times += [time for time in found if time is not None]
        read += page.bytes
        if all(time is None or time < since_ms for time in found):
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
