"""Does Redis answer, can it keep what it is given, and is there room?"""

import time
from collections.abc import Iterator

import redis

from listener.doctor import spool
from listener.doctor.findings import Finding, error, ok, warning
from listener.errors import QueueUnavailableError
from listener.lines import counted
from listener.queue.connection import servers
from listener.queue.durability import Server, refusal, warnings
from listener.queue.retention import FULL, memory_share
from listener.queue.server import ask
from listener.queue.writer import RedisWriter
from listener.settings import Settings

TOPIC = "redis"
# A message has to be confirmed within ACK_BUDGET_MS; half of that for one round trip is a bad sign.
SLOW_SHARE = 0.5
ADVICE = "docs/durability.md says what each setting of Redis means for messages"


def findings(settings: Settings, client: "redis.Redis") -> Iterator[Finding]:
    """Raises redis.RedisError where Redis does not answer."""
    yield _reached(settings, client)
    server = ask(client)
    yield from _durable(settings, server)
    yield from _room(client)
    yield _writable(settings)


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


def _durable(settings: Settings, server: Server) -> Iterator[Finding]:
    durability = settings.queue_durability
    if reason := refusal(durability, server):
        yield error(TOPIC, f"QUEUE_DURABILITY={durability} {reason}", ADVICE)
    for text in warnings(durability, server):
        yield warning(TOPIC, text, ADVICE)
    aof = f"appendonly yes, appendfsync {server.appendfsync or '(hidden)'}"
    yield ok(
        TOPIC,
        f"{server.described}, {aof if server.appendonly else 'appendonly no'}, maxmemory-policy "
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


def _writable(settings: Settings) -> Finding:
    """Only a write shows that writing is possible; what is written expires at once."""
    writer = RedisWriter(settings)
    try:
        for number in range(settings.queue_partitions):
            writer.check(number)
    except QueueUnavailableError as problem:
        return error(
            TOPIC,
            f"cannot keep a message now: {problem.detail}",
            f"{spool.meanwhile(settings)}; see Redis's own log",
        )
    finally:
        writer.close()
    return ok(TOPIC, "can keep a message now")
