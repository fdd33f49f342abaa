"""Checks that Redis answers fast, can keep messages as QUEUE_DURABILITY asks, and has memory left."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from listener.diagnostics import check_spool
from listener.diagnostics.finding import Finding, error, ok, warning
from listener.diagnostics.startup import refused_partitions
from listener.inspection.queue_view import QueueView
from listener.queue.durability import risks, unsupported_reason
from listener.queue.redis_errors import Blame, blame, remedy
from listener.queue.retention import FULL, memory_share
from listener.redis_client.client import servers, unless_refused
from listener.redis_client.server_info import ServerInfo, inspect
from listener.settings.settings import Settings
from listener.text import counted

TOPIC = "redis"
# A message has to be confirmed within ACK_BUDGET_MS; one round trip should take far less than half of that.
MAX_LATENCY_SHARE = 0.5
# In docs/scaling.md with what it saves.
STREAM_NODE_BYTES = 16384
ADVICE = "docs/durability.md says what each setting of Redis means for messages"


def findings(settings: Settings, view: QueueView) -> Iterator[Finding]:
    """Raises redis.RedisError where Redis does not answer.

    Where PING or INFO is refused, the service does without, and so do the other checks.
    """
    yield from _unless_refused("PING", lambda: [_latency(settings, view)])
    yield from _unless_refused(
        "INFO", lambda: [*_durability(settings, inspect(view.client)), *_memory(view)]
    )
    yield from _optional_commands(view)
    yield from _writable(settings)


def _unless_refused(command: str, check: Callable[[], list[Finding]]) -> list[Finding]:
    result = unless_refused(check)
    if not isinstance(result, Exception):
        return result
    if blame(result) is not Blame.SERVER:
        raise result
    text = f"{command} is refused, so that what it would say is not checked: {result}"
    return [warning(TOPIC, text, remedy(command, result) or ADVICE)]


def _optional_commands(view: QueueView) -> Iterator[Finding]:
    """The service sends these commands and does without where they are refused."""
    nothing = view.partitions[0].absent
    commands: tuple[tuple[str, tuple[str, ...], str], ...] = (
        ("CLIENT SETNAME", ("fota-check",), "connections have no name in CLIENT LIST"),
        # An increment that is not a number is refused before anything is counted.
        (
            "HINCRBY",
            (nothing, "n", "none"),
            "the status page does not show what arrived when",
        ),
        ("EXPIRE", (nothing, "1"), "counts for the status page are kept for ever"),
        ("TIME", (), "nothing is trimmed, and Redis's clock is taken to be this host's"),
    )
    for command, arguments, consequence in commands:
        result = _sent(view, *command.split(), *arguments)
        if isinstance(result, Exception) and (advice := remedy(command, result)):
            yield warning(TOPIC, f"{command} is refused: {consequence}", advice)


def _sent(view: QueueView, *words: str) -> Any:
    return unless_refused(lambda: view.client.execute_command(*words))  # type: ignore[no-untyped-call]


def _latency(settings: Settings, view: QueueView) -> Finding:
    masters = servers(view.client)
    latency_ms = max(map(_latency_ms, masters))
    nodes = f"{len(masters)} masters, the slowest answers" if len(masters) > 1 else "answers"
    text = f"{nodes} in {latency_ms:.2f} ms"
    if latency_ms > MAX_LATENCY_SHARE * settings.ack_budget_ms:
        advice = f"a message has {settings.ack_budget_ms} ms (ACK_BUDGET_MS): move Redis nearer"
        return warning(TOPIC, text, advice)
    return ok(TOPIC, text)


def _latency_ms(server: Any) -> float:
    server.ping()
    # The first reply came over a connection that had to be made.
    began = time.perf_counter()
    server.ping()
    return (time.perf_counter() - began) * 1000


def _durability(settings: Settings, server: ServerInfo) -> Iterator[Finding]:
    durability = settings.queue.durability
    if reason := unsupported_reason(durability, server):
        yield error(TOPIC, f"QUEUE_DURABILITY={durability} {reason}", ADVICE)
    for text in risks(durability, server):
        yield warning(TOPIC, text, ADVICE)
    aof = f"appendonly yes, appendfsync {server.appendfsync or '(hidden)'}"
    yield ok(
        TOPIC,
        f"{server.description}, {aof if server.appendonly else 'appendonly no'}, maxmemory-policy "
        f"{server.maxmemory_policy}, {counted(server.replicas, 'replica')}; QUEUE_DURABILITY={durability}",
    )
    # 0 is unbounded.
    if 0 < (node := server.stream_node_max_bytes or 0) < STREAM_NODE_BYTES:
        yield ok(
            TOPIC,
            f"stream-node-max-bytes {node}: with {STREAM_NODE_BYTES} a message takes some 40 bytes less memory",
        )


def _memory(view: QueueView) -> Iterator[Finding]:
    infos = [dict(server.info("memory")) for server in servers(view.client)]
    # Retention's warning goes by the same share, which it reads from what INFO prints.
    share = max(
        memory_share("".join(f"{name}:{value}\n" for name, value in info.items())) for info in infos
    )
    used = ", ".join(str(info.get("used_memory_human", "?")) for info in infos)
    if not share:
        yield ok(TOPIC, f"uses {used} of memory; maxmemory is not set")
    elif share > FULL:
        yield warning(
            TOPIC,
            f"uses {share:.0%} of its maxmemory ({used}): full, it refuses new messages",
            "raise maxmemory, or see which consumer group keeps messages (python -m listener stats)",
        )
    else:
        yield ok(TOPIC, f"uses {share:.0%} of its maxmemory ({used})")


def _writable(settings: Settings) -> Iterator[Finding]:
    """Only a write shows that writing is possible; what is written expires at once."""
    problems = refused_partitions(settings)
    for problem in problems:
        yield error(
            TOPIC,
            f"cannot keep a message now: {problem}",
            f"{check_spool.meanwhile(settings)}; see Redis's own log",
        )
    if not problems:
        yield ok(TOPIC, "can keep a message now")
