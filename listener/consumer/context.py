"""What the threads of a running consumer share."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

import redis

from listener.consumer.claims import Claims
from listener.consumer.desk import Desk
from listener.consumer.group import MOST_BYTES, Group
from listener.consumer.handlers import Handlers
from listener.consumer.observer import Observer
from listener.consumer.options import Options
from listener.consumer.outages import Outages
from listener.consumer.portion import Portion

# Redis keeps the first 16 KiB of a reply outside of what client-output-buffer-limit bounds.
LEAST_BYTES = 8 * 2**10


@dataclass(frozen=True, kw_only=True)
class Context:
    """One for each run.

    Args:
        client: threads share it.
        reading: likewise, for what brings messages: it tells of every broken connection, because
            what Redis delivered on it is pending and never came.
        portion: how many messages to read at once.
        budget: how many bytes to take over at once.
        groups: by the numbers of their partitions.
        stopping: nothing more is read or taken over.
        ended: all threads come to an end.
    """

    client: "redis.Redis"
    reading: "redis.Redis"
    group: str
    consumer: str
    groups: Mapping[int, Group]
    desk: Desk
    handlers: Handlers
    options: Options
    portion: Portion
    observer: Observer
    budget: Portion = field(default_factory=lambda: Portion(MOST_BYTES, LEAST_BYTES))
    claims: Claims = field(default_factory=Claims)
    outages: Outages = field(default_factory=Outages)
    stopping: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
