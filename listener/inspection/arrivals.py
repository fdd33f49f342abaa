"""How many messages of each kind came into the queue, minute by minute, for the status page.

Counted by the script that adds them, so without duplicates, and kept for a day. What waited in the
spool counts when it comes to Redis.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime

import redis

from listener.queue.keys import Partition, hour_of

# What the page shows, and the hour that is under way.
HOURS = 4

Counts = Mapping[int, Mapping[str, int]]
"""By minute since 1970, by kind."""


def read(client: "redis.Redis", partitions: Iterable[Partition], now: datetime) -> Counts:
    """The counts of the last hours, all partitions together. Raises redis.RedisError.

    Args:
        client: one that decodes responses.
        partitions: which to add up.
        now: the time of day by the clock of those who count, the listeners' hosts; with a time zone.
    """
    counts: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    last = hour_of(now.timestamp())
    for where in partitions:
        for hour in range(last - HOURS + 1, last + 1):
            hashed: Mapping[str, str] = client.hgetall(where.arrival_counts(hour))  # type: ignore[assignment]
            for field, count in hashed.items():
                minute, _, kind = field.partition(":")
                counts[int(minute)][kind] += int(count)
    return counts
