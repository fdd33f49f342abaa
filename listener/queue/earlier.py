"""Finds messages from the spool in the stream that were written there before they were spooled."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import redis

from listener.messages import Message
from listener.queue.keys import Partition

# Entry ids go by the clock of Redis, arrivals by ours, and a write may be carried out late.
BEFORE = timedelta(seconds=5)
AFTER = timedelta(seconds=15)
# Few, because a message may have megabytes, and a page has to come within ACK_BUDGET_MS.
PAGE = 50


def remember(
    client: "redis.Redis",
    where: Partition,
    messages: Sequence[Message],
    window_s: int,
    now: datetime,
) -> None:
    """Has Redis know messages again whose window is over, if they are in the stream already.

    What was written and not confirmed is in the spool as well. As long as Redis remembers its
    fingerprint it is not added again; after an outage that is longer than the window it has to be
    looked for, in the seconds round its arrival. Nothing was written during an outage, so there is
    little to look through.

    Raises:
        redis.RedisError: it cannot be looked for.
    """
    forgotten_since = now - timedelta(seconds=window_s) + BEFORE
    old = {each.id: each for each in messages if _arrival(each) < forgotten_since}
    for first, last in spans([_arrival(each) for each in old.values()]):
        for entry_id, fields in _entries(client, where.messages, first, last):
            message_id = fields.get(b"id", b"").decode()
            if message_id in old:
                client.set(where.seen(message_id), entry_id, ex=window_s, nx=True)


def _arrival(message: Message) -> datetime:
    return datetime.fromisoformat(message.time)


def spans(arrivals: Sequence[datetime]) -> list[tuple[datetime, datetime]]:
    """The spans of time to look through; none overlap."""
    spans: list[tuple[datetime, datetime]] = []
    for moment in sorted(arrivals):
        first, last = moment - BEFORE, moment + AFTER
        if spans and first <= spans[-1][1]:
            first, _ = spans.pop()
        spans.append((first, last))
    return spans


def _entries(
    client: "redis.Redis", stream: str, first: datetime, last: datetime
) -> Iterator[tuple[bytes, Mapping[bytes, bytes]]]:
    start, end = str(_ms(first)), str(_ms(last))
    while True:
        page: Any = client.xrange(stream, start, end, count=PAGE)
        yield from page
        if len(page) < PAGE:
            return
        start = f"({page[-1][0].decode()}"


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
