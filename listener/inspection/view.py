"""View: the queue for reading, through a client that decodes, and Redis's errors in a sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import redis

from listener.errors import ListenerError, QueueUnavailableError
from listener.inspection import consumer_groups, streams
from listener.inspection.consumer_groups import Group
from listener.inspection.streams import Stream
from listener.logs import Redactor
from listener.queue import shards
from listener.queue.keys import Partition, every_partition
from listener.redis_client.client import connect, servers
from listener.settings.queue_settings import QueueSettings
from listener.text import clean


class RedisFailedError(ListenerError):
    """Redis did not answer, refused a command or did not confirm a write: a sentence, free of secrets."""


@dataclass(frozen=True)
class View:
    """The queue for reading: where it is, and a client that decodes replies."""

    settings: QueueSettings
    client: "redis.Redis"

    @property
    def partitions(self) -> list[Partition]:
        """Every partition."""
        return every_partition(self.settings.namespace, self.settings.partitions)

    @cached_property
    def streams(self) -> list[Stream]:
        """The streams of all partitions that have one; read once. Raises redis.RedisError."""
        every = (streams.look(self.client, partition) for partition in self.partitions)
        return [stream for stream in every if stream]

    @cached_property
    def groups(self) -> list[Group]:
        """The consumer groups of all partitions; read once. Raises redis.RedisError."""
        return [
            group
            for partition in self.partitions
            for group in consumer_groups.groups(self.client, partition)
        ]

    def now(self) -> datetime:
        """The time by Redis's clock, which entry ids are made from; by ours if Redis refuses TIME.

        Raises redis.RedisError.
        """
        try:
            time: Any = servers(self.client)[0].time()
        except redis.ResponseError:
            # No right to ask, or a proxy that does not know the command.
            return datetime.now(UTC)
        return datetime.fromtimestamp(time[0] + time[1] / 1_000_000, UTC)


@contextmanager
def connected(settings: QueueSettings, *, timeout_s: float, name: str) -> "Iterator[redis.Redis]":
    """A client that decodes replies, as text for people; it connects when it is first used.

    Raises:
        RedisFailedError: an error of Redis left the block.
    """
    client = connect(
        settings.url,
        timeout_s=timeout_s,
        name=name,
        decode_responses=True,
        # Anybody can add an entry by hand that is not UTF-8.
        encoding_errors="backslashreplace",
    )
    try:
        with translated_errors(settings):
            yield client
    finally:
        client.close()


@contextmanager
def translated_errors(settings: QueueSettings) -> Iterator[None]:
    """Raises RedisFailedError for an error of Redis that leaves the block."""
    try:
        yield
    except (redis.RedisError, QueueUnavailableError) as error:
        raise RedisFailedError(_sentence(error, settings)) from error


def _sentence(error: Exception, settings: QueueSettings) -> str:
    """What is wrong with Redis, free of secrets and control characters."""
    if isinstance(error, QueueUnavailableError):
        sentence = f"Redis did not confirm: {error.detail}"
    elif isinstance(error, shards.OF_A_CLUSTER):
        sentence = f"Redis refuses, since REDIS_URL leads to a Cluster: {shards.ADVICE} ({error})"
    elif isinstance(error, redis.ResponseError | redis.AuthenticationError):
        sentence = f"Redis refuses: {error}"
    else:
        sentence = f"Redis does not answer: {error}"
    return clean(Redactor(settings.secrets).redact(sentence))
