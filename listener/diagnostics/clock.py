"""Do the clocks agree: this host's, Redis's, and the one that the entry ids were made by?"""

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import redis

from listener import entry_ids
from listener.diagnostics.finding import Finding, error, ok, warning
from listener.inspection.streams import Stream
from listener.inspection.view import View
from listener.redis_client.client import servers
from listener.times import format_duration

TOPIC = "clock"
# What waited in the spool is looked for round its arrival by this host's clock, some seconds long.
APART_S = 3.0


def findings(look: View, now: datetime) -> Iterator[Finding]:
    """Raises redis.RedisError. `now` is by Redis's clock."""
    apart_s = max((_apart_s(server) for server in servers(look.client)), key=abs)
    if abs(apart_s) > APART_S:
        which = "ahead of" if apart_s > 0 else "behind"
        yield warning(
            TOPIC,
            f"Redis's clock is {format_duration(abs(apart_s))} {which} this host's",
            "let both follow NTP: retention, ages and the search for duplicates go by these clocks",
        )
    else:
        yield ok(TOPIC, "Redis's and this host's agree")
    for stream in look.streams:
        yield from _ids(stream, now)


def _apart_s(server: "redis.Redis") -> float:
    """How far a server's clock is ahead, in seconds; 0 where it does not say, or as far as is sure."""
    began = time.time()
    try:
        told: Any = server.time()
    except redis.ResponseError:
        return 0.0
    there: float = float(told[0]) + told[1] / 1_000_000
    # It looked at its clock at some time between the two.
    return there - min(max(there, began), time.time())


def _ids(stream: Stream, now: datetime) -> Iterator[Finding]:
    topic = f"partition {stream.partition}"
    if stream.last_id == entry_ids.LAST:
        yield error(
            topic,
            "its ids are used up: an entry has the greatest id there is, and Redis refuses every new one",
            "docs/operations.md (Clocks) says how to begin a new stream without losing messages",
        )
        return
    ahead_s = entry_ids.parse(stream.last_id)[0] / 1000 - now.timestamp()
    if ahead_s > APART_S:
        yield warning(
            topic,
            f"its newest id is {format_duration(ahead_s)} ahead of Redis's clock, which was wrong once or is now",
            "correct Redis's clock if it is behind; else nothing is lost, but ages and --from go by "
            "these ids: see docs/operations.md (Clocks)",
        )
