"""Does a plain REDIS_URL lead to several servers?"""

from collections.abc import Iterator

from listener.diagnostics.finding import Finding, error, ok, warning
from listener.inspection.view import View
from listener.queue import shards
from listener.text import counted

TOPIC = "redis"
ADVICE = "docs/operations.md (Several servers behind one address)"


def findings(look: View) -> Iterator[Finding]:
    """Raises redis.RedisError where Redis does not answer."""
    found = shards.find(look.client, look.partitions)
    durability = look.settings.durability
    if reason := found.refusal(durability):
        yield error(TOPIC, f"QUEUE_DURABILITY={durability} {reason}", ADVICE)
    if found.elsewhere:
        yield _unreachable(found.elsewhere)
    elif found.together:
        yield warning(
            TOPIC,
            "several servers stand behind REDIS_URL: one command may not read several partitions "
            f"({found.together})",
            f"{shards.ADVICE}; meanwhile each partition is read by itself",
        )
    elif found.is_cluster:
        yield warning(
            TOPIC,
            "REDIS_URL leads to one node of a Redis Cluster: a failover, or a slot that is moved, "
            "is not followed",
            shards.ADVICE,
        )
    else:
        yield ok(TOPIC, f"{counted(len(look.partitions), 'partition')} can be read as configured")


def _unreachable(elsewhere: dict[int, str]) -> Finding:
    of = [f"partition {number}" for number in elsewhere if number >= 0]
    names = ", ".join([*of, *(["the registrar's keys"] if -1 in elsewhere else [])])
    why = next(iter(elsewhere.values()))
    return error(
        TOPIC,
        f"REDIS_URL leads to one node of a Redis Cluster, which does not serve {names}: {why}",
        f"{shards.ADVICE}; it stores none of these messages, and reads none",
    )
