"""Checks that the clocks agree: this host's, Redis's, and the one that made the newest entry ids."""

from collections.abc import Iterator
from datetime import datetime

from listener import entry_ids
from listener.diagnostics.finding import Finding, error, ok, warning
from listener.inspection.queue_view import QueueView
from listener.inspection.streams import StreamStats
from listener.redis_client.client import servers
from listener.redis_client.server_info import clock_offset_s
from listener.times import format_duration

TOPIC = "clock"
# A spooled message is searched for in the stream within some seconds of its arrival by this host's clock.
MAX_OFFSET_S = 3.0


def findings(view: QueueView, now: datetime) -> Iterator[Finding]:
    """Raises redis.RedisError. `now` is by Redis's clock."""
    offset_s = max((clock_offset_s(server) for server in servers(view.client)), key=abs)
    if abs(offset_s) > MAX_OFFSET_S:
        direction = "ahead of" if offset_s > 0 else "behind"
        yield warning(
            TOPIC,
            f"Redis's clock is {format_duration(abs(offset_s))} {direction} this host's",
            "let both follow NTP: retention, ages and the search for duplicates go by these clocks",
        )
    else:
        yield ok(TOPIC, "Redis's and this host's agree")
    for stream in view.streams:
        yield from _newest_id(stream, now)


def _newest_id(stream: StreamStats, now: datetime) -> Iterator[Finding]:
    topic = f"partition {stream.partition}"
    if stream.last_id == entry_ids.LAST:
        yield error(
            topic,
            "its ids are used up: an entry has the greatest id there is, and Redis refuses every new one",
            "docs/operations.md (Clocks) says how to begin a new stream without losing messages",
        )
        return
    ahead_s = entry_ids.parse(stream.last_id)[0] / 1000 - now.timestamp()
    if ahead_s > MAX_OFFSET_S:
        yield warning(
            topic,
            f"its newest id is {format_duration(ahead_s)} ahead of Redis's clock, which was wrong once or is now",
            "correct Redis's clock if it is behind; else nothing is lost, but ages and --from go by "
            "these ids: see docs/operations.md (Clocks)",
        )
