"""The queue as operators read it: QueueView, its client, and Redis's errors as sentences without secrets."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from typing import Any

import redis

from listener.errors import ListenerError, QueueUnavailableError
from listener.inspection.consumer_groups import GroupStats, group_stats
from listener.inspection.pages import Projection, pages
from listener.inspection.streams import StreamStats, stream_stats
from listener.logs import Redactor
from listener.queue import shards
from listener.queue.keys import Partition, every_partition
from listener.redis_client.client import connect, servers
from listener.settings.queue_settings import QueueSettings
from listener.text import clean
from listener.times import entry_age_s

# No field has an empty name.
ONE_ID = Projection(("",), max_entries=1)


class RedisFailedError(ListenerError):
    """Redis did not answer, refused a command or did not confirm a write: a sentence, free of secrets."""


@dataclass(frozen=True)
class QueueView:
    """Reads the queue of the settings through a client that decodes replies."""

    settings: QueueSettings
    client: "redis.Redis"

    @property
    def partitions(self) -> list[Partition]:
        """Every partition."""
        return every_partition(self.settings.namespace, self.settings.partitions)

    @cached_property
    def streams(self) -> list[StreamStats]:
        """The figures of all streams that exist; read once. Raises redis.RedisError."""
        stats = (stream_stats(self.client, partition) for partition in self.partitions)
        return [stream for stream in stats if stream]

    @cached_property
    def groups(self) -> list[GroupStats]:
        """The consumer groups of all partitions; read once. Raises redis.RedisError."""
        return [
            group for partition in self.partitions for group in group_stats(self.client, partition)
        ]

    def group_age_s(self, group: GroupStats, now: datetime) -> float:
        """The age in seconds of the oldest message that a group was not given or has not acknowledged; 0 without any.

        Raises redis.RedisError.
        """
        ids = [group.oldest_pending] if group.oldest_pending else []
        if group.lag.entries:
            stream = self.partitions[group.partition].messages
            unread = pages(self.client, stream, f"({group.cursor}", "+", projection=ONE_ID)
            ids += [entry.entry_id for page in islice(unread, 1) for entry in page.entries]
        return max((entry_age_s(entry_id, now) for entry_id in ids), default=0.0)

    def now(self) -> datetime:
        """The time by Redis's clock, which makes the entry ids; by this host's if Redis refuses TIME.

        Raises redis.RedisError.
        """
        try:
            time: Any = servers(self.client)[0].time()
        except redis.ResponseError:
            # The user lacks the right, or a proxy does not know the command.
            return datetime.now(UTC)
        return datetime.fromtimestamp(time[0] + time[1] / 1_000_000, UTC)


@contextmanager
def decoding_client(
    settings: QueueSettings, *, timeout_s: float, name: str
) -> "Iterator[redis.Redis]":
    """A client that decodes replies for people; it connects when it is first used.

    Raises:
        RedisFailedError: an error of Redis left the block.
    """
    client = connect(
        settings.url,
        timeout_s=timeout_s,
        name=name,
        decode_responses=True,
        # An entry that somebody added by hand may be no UTF-8.
        encoding_errors="backslashreplace",
    )
    try:
        with translating_redis_errors(settings):
            yield client
    finally:
        client.close()


@contextmanager
def translating_redis_errors(settings: QueueSettings) -> Iterator[None]:
    """Raises RedisFailedError for an error of Redis that leaves the block."""
    try:
        yield
    except (redis.RedisError, QueueUnavailableError) as error:
        raise RedisFailedError(_sentence(error, settings)) from error


def _sentence(error: Exception, settings: QueueSettings) -> str:
    """Describes a failure of Redis, without secrets and control characters."""
    if isinstance(error, QueueUnavailableError):
        sentence = f"Redis did not confirm: {error.detail}"
    elif isinstance(error, shards.OF_A_CLUSTER):
        sentence = f"Redis refuses, since REDIS_URL leads to a Cluster: {shards.ADVICE} ({error})"
    elif isinstance(error, redis.ResponseError | redis.AuthenticationError):
        sentence = f"Redis refuses: {error}"
    else:
        sentence = f"Redis does not answer: {error}"
    return clean(Redactor(settings.secrets).redact(sentence))
