"""Does Redis answer, can it keep what it is given, and is there room?"""

import time
from collections.abc import Callable, Iterator

import redis

from listener.diagnostics import spool
from listener.diagnostics.finding import Finding, error, ok, warning
from listener.diagnostics.startup import refused_partitions
from listener.queue.durability import refusal, warnings
from listener.queue.keys import Partition
from listener.queue.redis_errors import Blame, blame, remedy
from listener.queue.retention import FULL, memory_share
from listener.redis_client.client import servers
from listener.redis_client.server_info import ServerInfo, inspect
from listener.settings.settings import Settings
from listener.text import counted

TOPIC = "redis"
# A message has to be confirmed within ACK_BUDGET_MS; half of that for one round trip is a bad sign.
SLOW_SHARE = 0.5
ADVICE = "docs/durability.md says what each setting of Redis means for messages"


def findings(settings: Settings, client: "redis.Redis") -> Iterator[Finding]:
    """Raises redis.RedisError where Redis does not answer.

    What is only looked at may be refused: the service does without, and the rest is looked at all the same.
    """
    yield from _unless_refused("PING", lambda: [_reached(settings, client)])
    yield from _unless_refused(
        "INFO", lambda: [*_durable(settings, inspect(client)), *_room(client)]
    )
    yield from _ornaments(settings, client)
    yield from _writable(settings)


def _unless_refused(command: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return look()
    except redis.ResponseError as error:
        if blame(error) is not Blame.SERVER:
            raise
        text = f"{command} is refused, so that what it would say is not checked: {error}"
        return [warning(TOPIC, text, remedy(command, error) or ADVICE)]


def _ornaments(settings: Settings, client: "redis.Redis") -> Iterator[Finding]:
    """What the service asks for and does without."""
    where = Partition(settings.queue.namespace, 0)
    ornaments: tuple[tuple[str, tuple[str, ...], str], ...] = (
        ("CLIENT SETNAME", ("fota-check",), "connections have no name in CLIENT LIST"),
        # An increment that is no number is refused before anything is counted.
        (
            "HINCRBY",
            (where.nothing, "n", "none"),
            "the status page does not show what arrived when",
        ),
        ("EXPIRE", (where.nothing, "1"), "counts for the status page are kept for ever"),
        ("TIME", (), "nothing is trimmed, and Redis's clock is taken to be this host's"),
    )
    for command, words, consequence in ornaments:
        try:
            client.execute_command(*command.split(), *words)  # type: ignore[no-untyped-call]
        except redis.ResponseError as error:
            if advice := remedy(command, error):
                yield warning(TOPIC, f"{command} is refused: {consequence}", advice)


def _reached(settings: Settings, client: "redis.Redis") -> Finding:
    masters = servers(client)
    latency_ms = max(_latency_ms(master) for master in masters)
    nodes = f"{len(masters)} masters, the slowest answers" if len(masters) > 1 else "answers"
    text = f"{nodes} in {latency_ms:.2f} ms"
    if latency_ms > SLOW_SHARE * settings.ack_budget_ms:
        advice = f"a message has {settings.ack_budget_ms} ms (ACK_BUDGET_MS): move Redis nearer"
        return warning(TOPIC, text, advice)
    return ok(TOPIC, text)


def _latency_ms(server: "redis.Redis") -> float:
    server.ping()
    # The first reply came over a connection that had to be made.
    began = time.perf_counter()
    server.ping()
    return (time.perf_counter() - began) * 1000


def _durable(settings: Settings, server: ServerInfo) -> Iterator[Finding]:
    durability = settings.queue.durability
    if reason := refusal(durability, server):
        yield error(TOPIC, f"QUEUE_DURABILITY={durability} {reason}", ADVICE)
    for text in warnings(durability, server):
        yield warning(TOPIC, text, ADVICE)
    aof = f"appendonly yes, appendfsync {server.appendfsync or '(hidden)'}"
    yield ok(
        TOPIC,
        f"{server.description}, {aof if server.appendonly else 'appendonly no'}, maxmemory-policy "
        f"{server.maxmemory_policy}, {counted(server.replicas, 'replica')}; QUEUE_DURABILITY={durability}",
    )


def _room(client: "redis.Redis") -> Iterator[Finding]:
    told = [server.info("memory") for server in servers(client)]
    # The same reckoning as retention's warning, which reads what INFO prints.
    shares = [
        memory_share("".join(f"{name}:{value}\n" for name, value in dict(info).items()))
        for info in told
    ]
    used = ", ".join(str(dict(info).get("used_memory_human", "?")) for info in told)
    if not max(shares):
        yield ok(TOPIC, f"uses {used} of memory; maxmemory is not set")
    elif max(shares) > FULL:
        yield warning(
            TOPIC,
            f"uses {max(shares):.0%} of its maxmemory ({used}): full, it refuses new messages",
            "raise maxmemory, or see which consumer group keeps messages (python -m listener stats)",
        )
    else:
        yield ok(TOPIC, f"uses {max(shares):.0%} of its maxmemory ({used})")


def _writable(settings: Settings) -> Iterator[Finding]:
    """Only a write shows that writing is possible; what is written expires at once."""
    problems = refused_partitions(settings)
    for problem in problems:
        yield error(
            TOPIC,
            f"cannot keep a message now: {problem}",
            f"{spool.meanwhile(settings)}; see Redis's own log",
        )
    if not problems:
        yield ok(TOPIC, "can keep a message now")
