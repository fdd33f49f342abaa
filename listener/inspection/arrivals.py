"""Reads how many messages of each kind arrived in each minute, for the status page's chart.

`enqueue.lua` counts a message in the step that adds it, so that duplicates are not counted, and the
counts expire after a day. A message from the spool counts when it reaches Redis.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime

import redis

from listener.queue.keys import Partition, hour_of

# The three whole hours that the page shows by itself, and the current one.
HOURS = 4
# All that are kept, and the current one.
ALL_HOURS = 25

ArrivalCounts = Mapping[int, Mapping[str, int]]
"""By minute since 1970, by kind."""


def read_arrivals(
    client: "redis.Redis", partitions: Iterable[Partition], now: datetime, hours: int = HOURS
) -> ArrivalCounts:
    """The counts of the last hours, summed over the partitions. Raises redis.RedisError.

    Args:
        client: one that decodes responses.
        partitions: which to sum up.
        now: the time by the clock of the listeners' hosts, which count; with a time zone.
        hours: how many, the current one included.
    """
    counts: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    current = hour_of(now.timestamp())
    for partition in partitions:
        for hour in range(current - hours + 1, current + 1):
            fields: Mapping[str, str] = client.hgetall(partition.arrival_counts(hour))  # type: ignore[assignment]
            for field, count in fields.items():
                minute, _, kind = field.partition(":")
                counts[int(minute)][kind] += int(count)
    return counts
