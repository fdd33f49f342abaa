"""Checks whether a plain REDIS_URL leads to a Cluster, or to several servers behind a proxy."""

from collections.abc import Iterator

from listener.diagnostics.finding import Finding, error, ok, warning
from listener.inspection.queue_view import QueueView
from listener.queue import shards
from listener.text import counted

TOPIC = "redis"
ADVICE = "docs/operations.md (Several servers behind one address)"


def findings(view: QueueView) -> Iterator[Finding]:
    """Raises redis.RedisError where Redis does not answer."""
    result = shards.detect(view.client, view.partitions)
    durability = view.settings.durability
    if reason := result.unsupported_reason(durability):
        yield error(TOPIC, f"QUEUE_DURABILITY={durability} {reason}", ADVICE)
    if result.elsewhere:
        yield _not_served(result.elsewhere)
    elif result.together:
        yield warning(
            TOPIC,
            "several servers stand behind REDIS_URL: one command may not read several partitions "
            f"({result.together})",
            f"{shards.ADVICE}; meanwhile each partition is read by itself",
        )
    elif result.is_cluster:
        yield warning(
            TOPIC,
            "REDIS_URL leads to one node of a Redis Cluster: a failover, or a slot that is moved, "
            "is not followed",
            shards.ADVICE,
        )
    else:
        yield ok(TOPIC, f"{counted(len(view.partitions), 'partition')} can be read as configured")


def _not_served(elsewhere: dict[int, str]) -> Finding:
    """`elsewhere`: see `shards.Shards`."""
    partitions = [f"partition {number}" for number in elsewhere if number >= 0]
    names = ", ".join([*partitions, *(["the registrar's keys"] if -1 in elsewhere else [])])
    reason = next(iter(elsewhere.values()))
    return error(
        TOPIC,
        f"REDIS_URL leads to one node of a Redis Cluster, which does not serve {names}: {reason}",
        f"{shards.ADVICE}; it stores none of these messages, and reads none",
    )
