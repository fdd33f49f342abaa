"""What a Redis server says of itself: version, persistence, memory policy, replicas, clock."""

import re
import time
from dataclasses import dataclass, replace
from typing import Any

import redis

from listener.redis_client.client import servers, unless_refused

WAITAOF_SINCE = (7, 2)


@dataclass(frozen=True)
class ServerInfo:
    """What INFO and CONFIG GET of a Redis server say.

    Attributes:
        appendfsync: None where CONFIG is hidden, as on managed servers.
        stream_node_max_bytes: None where CONFIG is hidden. The larger, the less memory an entry of a stream takes.
    """

    version: tuple[int, ...]
    name: str
    appendonly: bool
    appendfsync: str | None
    maxmemory_policy: str
    replicas: int
    stream_node_max_bytes: int | None = None

    @property
    def supports_waitaof(self) -> bool:
        """Redis 7.2 and Valkey 7.2 brought it."""
        return self.version >= WAITAOF_SINCE

    @property
    def description(self) -> str:
        """Name and version."""
        return f"{self.name} {'.'.join(map(str, self.version))}"


def inspect(client: "redis.Redis") -> ServerInfo:
    """What the server says of itself; in a Cluster, what all of its masters have in common.

    Raises:
        redis.RedisError: one did not answer.
    """
    infos = [_inspect(server) for server in servers(client)]
    return replace(
        min(infos, key=lambda info: info.version),
        appendonly=all(info.appendonly for info in infos),
        appendfsync=min((info.appendfsync for info in infos), key=lambda it: it == "always"),
        maxmemory_policy=min(
            (info.maxmemory_policy for info in infos), key=lambda it: it == "noeviction"
        ),
        replicas=min(info.replicas for info in infos),
        stream_node_max_bytes=min(
            (it for info in infos if (it := info.stream_node_max_bytes) is not None), default=None
        ),
    )


def clock_offset_s(server: "redis.Redis") -> float:
    """How far a server's clock is ahead of this host's for certain, in seconds; 0 if TIME is refused.

    Raises:
        redis.RedisError: the server did not answer.
    """
    sent = time.time()
    reply: Any = unless_refused(server.time)
    if isinstance(reply, redis.ResponseError):
        return 0.0
    seconds, microseconds = reply
    at_server: float = float(seconds) + microseconds / 1_000_000
    # The server read its clock at some time between the two.
    return at_server - min(max(at_server, sent), time.time())


def _inspect(server: "redis.Redis") -> ServerInfo:
    info: Any = server.info()
    # Valkey has the Redis version that it is compatible with as redis_version, and its own.
    version = str(info.get("valkey_version") or info["redis_version"])
    return ServerInfo(
        version=tuple(int(part) for part in re.findall(r"\d+", version)[:3]),
        name="Valkey" if "valkey_version" in info else "Redis",
        appendonly=bool(info.get("aof_enabled")),
        appendfsync=_config(server, "appendfsync"),
        maxmemory_policy=str(info.get("maxmemory_policy", "noeviction")),
        replicas=int(info.get("connected_slaves", 0)),
        stream_node_max_bytes=_number(_config(server, "stream-node-max-bytes")),
    )


def _config(server: "redis.Redis", name: str) -> str | None:
    values: Any = unless_refused(lambda: server.config_get(name))
    if isinstance(values, redis.ResponseError):
        # Managed servers hide CONFIG.
        return None
    return {_text(key): _text(value) for key, value in values.items()}.get(name)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None else None


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode()
