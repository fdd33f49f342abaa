"""The queue as people look at it: through a client that decodes, and with words for what goes wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import redis

from listener.errors import QueueUnavailableError
from listener.inspection import consumer_groups, streams
from listener.inspection.consumer_groups import Group
from listener.inspection.streams import Stream
from listener.logs import Redactor
from listener.queue import shards
from listener.queue.keys import Partition, every_partition
from listener.redis_client.client import connect, servers
from listener.settings.settings import Settings
from listener.text import clean


@dataclass(frozen=True)
class View:
    """The queue as people look at it: settings, and a client that decodes what it reads."""

    settings: Settings
    client: "redis.Redis"

    @property
    def partitions(self) -> list[Partition]:
        """All of them."""
        return every_partition(self.settings.queue_namespace, self.settings.queue_partitions)

    @cached_property
    def streams(self) -> list[Stream]:
        """Those of the partitions that have one; looked up once. Raises redis.RedisError."""
        found = (streams.look(self.client, where) for where in self.partitions)
        return [stream for stream in found if stream]

    @cached_property
    def groups(self) -> list[Group]:
        """Those of all partitions; looked up once. Raises redis.RedisError."""
        return [
            one for where in self.partitions for one in consumer_groups.groups(self.client, where)
        ]

    def now(self) -> datetime:
        """The time by Redis's clock, from which entry ids are made; by ours if TIME is refused.

        Raises redis.RedisError.
        """
        try:
            told: Any = servers(self.client)[0].time()
        except redis.ResponseError:
            # No right to ask, or a proxy that does not know the command.
            return datetime.now(UTC)
        return datetime.fromtimestamp(told[0] + told[1] / 1_000_000, UTC)


@contextmanager
def connected(chosen: Settings, *, timeout_s: float, name: str) -> "Iterator[redis.Redis]":
    """A client that decodes what it reads, for people to look at; connects when first used."""
    client = connect(
        chosen.redis_url,
        timeout_s=timeout_s,
        name=name,
        decode_responses=True,
        # Anybody can add an entry by hand that is no UTF-8.
        encoding_errors="backslashreplace",
    )
    try:
        yield client
    finally:
        client.close()


def problem(error: Exception, chosen: Settings) -> str:
    """What is wrong with Redis, in a sentence, free of secrets and control characters."""
    if isinstance(error, QueueUnavailableError):
        said = f"Redis did not confirm: {error.detail}"
    elif isinstance(error, shards.OF_A_CLUSTER):
        said = f"Redis refuses, since REDIS_URL leads to a Cluster: {shards.ADVICE} ({error})"
    elif isinstance(error, redis.ResponseError | redis.AuthenticationError):
        said = f"Redis refuses: {error}"
    else:
        said = f"Redis does not answer: {error}"
    return clean(Redactor(chosen.secrets).redact(said))
