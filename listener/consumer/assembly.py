"""Builds what a running consumer consists of, in one place."""

import os
import secrets
import socket
import time
from collections.abc import Collection

from listener.consumer.context import Context
from listener.consumer.desk import Desk
from listener.consumer.group import Group
from listener.consumer.handlers import Handlers
from listener.consumer.lua_scripts import Scripts
from listener.consumer.observer import Observer
from listener.consumer.options import Options
from listener.consumer.portion import Portion
from listener.queue.keys import every_partition
from listener.redis_client.client import connect
from listener.settings.queue_settings import QueueSettings

# Beyond the wait of a read: how long Redis may take to reply.
REPLY_S = 4.0
# Messages of a first read: how large they are is not known yet, and Redis takes no bound in bytes.
FIRST_READ = 16


def context_of(
    queue: QueueSettings,
    only: Collection[int],
    *,
    group: str,
    name: str | None,
    options: Options,
    handlers: Handlers,
    observer: Observer,
) -> Context:
    """For one run; connects to nothing yet. The caller closes both clients.

    Args:
        queue: where it is.
        only: the numbers of the partitions to read.
        group: its name.
        name: of the consumer; None: one of its own.
        options: how it works.
        handlers: by kind.
        observer: one whose methods do not raise.
    """
    limit_s = options.block_s + REPLY_S
    client = connect(queue.url, timeout_s=limit_s, name="fota-consumer")
    reading = connect(queue.url, timeout_s=limit_s, name="fota-consumer", retry=False)
    consumer, scripts = name or _own_name(), Scripts(client, reading)
    groups = {
        partition.number: Group(client, scripts, partition, group, consumer, clock=time.monotonic)
        for partition in every_partition(queue.namespace, queue.partitions)
        if partition.number in only
    }
    return Context(
        client=client,
        reading=reading,
        group=group,
        consumer=consumer,
        groups=groups,
        desk=Desk(batch=options.batch, ordered=options.ordered),
        handlers=handlers,
        options=options,
        portion=Portion(options.batch, first=FIRST_READ),
        observer=observer,
    )


def _own_name() -> str:
    # Chosen when it runs, not when it is made: a process may have forked in between.
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
