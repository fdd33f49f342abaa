"""What the threads of a running consumer share, and how it is built from the options."""

import os
import secrets
import socket
import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import redis

from listener.consumer.claims import MAX_REPLY_BYTES, MIN_REPLY_BYTES, Claims
from listener.consumer.deliveries.context import DeliveryContext
from listener.consumer.deliveries.in_flight import InFlight
from listener.consumer.handlers.event_loop import EventLoop
from listener.consumer.handlers.registry import Handlers
from listener.consumer.options import Observer, Options
from listener.consumer.outages import AdaptiveSize
from listener.consumer.redis_group import RedisGroup
from listener.queue.keys import Partition, every_partition
from listener.redis_client.client import connect
from listener.settings.queue_settings import QueueSettings

# How long Redis may take to reply, beyond the time that a read waits for messages.
REPLY_TIMEOUT_S = 4.0
# Messages of a first read: their size is not known yet, and Redis takes no limit in bytes.
INITIAL_READ = 16


@dataclass(frozen=True, kw_only=True)
class RunContext(DeliveryContext):
    """One run of a consumer on Redis, from `Consumer.run` to its return.

    Args:
        client: for commands that may be repeated.
        read_client: for commands that bring messages. It reports every broken connection, because
            what Redis delivered on it is pending and never came.
        group: the name of the consumer group.
        consumer: the name of this consumer.
        groups: by the numbers of their partitions.
        claims: by the numbers of their partitions.
        read_size: how many messages to read at once.
        stopping: nothing more is read or claimed.
    """

    client: "redis.Redis"
    read_client: "redis.Redis"
    group: str
    consumer: str
    groups: Mapping[int, RedisGroup]
    claims: Mapping[int, Claims]
    read_size: AdaptiveSize
    stopping: threading.Event = field(default_factory=threading.Event)

    def close(self) -> None:
        """Closes the connections."""
        self.client.close()
        self.read_client.close()


def build_run_context(
    queue: QueueSettings,
    only: Collection[int],
    *,
    group: str,
    name: str | None,
    options: Options,
    handlers: Handlers,
    observer: Observer,
) -> RunContext:
    """Builds one run; connects to nothing yet. The caller closes it.

    Args:
        queue: its address.
        only: the numbers of the partitions to read.
        group: the name of the consumer group.
        name: of the consumer; None: a unique one.
        options: how the consumer works.
        handlers: by kind.
        observer: one whose methods do not raise.
    """
    timeout_s = options.block_s + REPLY_TIMEOUT_S
    client = connect(queue.url, timeout_s=timeout_s, name="fota-consumer")
    read_client = connect(queue.url, timeout_s=timeout_s, name="fota-consumer", retry=False)
    consumer = name or _unique_name()
    partitions = [
        partition
        for partition in every_partition(queue.namespace, queue.partitions)
        if partition.number in only
    ]
    groups = {
        partition.number: RedisGroup(client, partition, group, consumer) for partition in partitions
    }
    return RunContext(
        client=client,
        read_client=read_client,
        group=group,
        consumer=consumer,
        groups=groups,
        claims=_build_claims(
            client, read_client, partitions, group, consumer, stuck_s=options.takeover_idle_s
        ),
        in_flight=InFlight(
            batch=options.batch, ordered=options.ordered, concurrency=options.concurrency
        ),
        handlers=handlers,
        options=options,
        observer=observer,
        event_loop=EventLoop(threads=options.concurrency),
        read_size=AdaptiveSize(options.batch, initial=INITIAL_READ),
    )


def _build_claims(
    client: "redis.Redis",
    read_client: "redis.Redis",
    partitions: Iterable[Partition],
    group: str,
    consumer: str,
    *,
    stuck_s: float,
) -> dict[int, Claims]:
    """The claims by the numbers of their partitions; they share one size of replies."""
    reply_bytes = AdaptiveSize(MAX_REPLY_BYTES, MIN_REPLY_BYTES)
    return {
        partition.number: Claims(
            client,
            read_client,
            partition,
            group,
            consumer,
            stuck_s=stuck_s,
            reply_bytes=reply_bytes,
        )
        for partition in partitions
    }


def _unique_name() -> str:
    # Made for each run, not for each Consumer: a process may have forked in between.
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
