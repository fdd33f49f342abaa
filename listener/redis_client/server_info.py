"""Asks a Redis server what it is and how it is set."""

import re
from dataclasses import dataclass, replace
from typing import Any

import redis

from listener.redis_client.client import servers

WAITAOF_SINCE = (7, 2)


@dataclass(frozen=True)
class Server:
    """What a Redis server says about itself; None where it does not let us ask."""

    version: tuple[int, ...]
    name: str
    appendonly: bool
    appendfsync: str | None
    maxmemory_policy: str
    replicas: int

    @property
    def knows_waitaof(self) -> bool:
        """Redis 7.2 and Valkey 7.2 brought it."""
        return self.version >= WAITAOF_SINCE

    @property
    def described(self) -> str:
        """Name and version."""
        return f"{self.name} {'.'.join(map(str, self.version))}"


def ask(client: "redis.Redis") -> Server:
    """What the server says about itself; of a Cluster's masters, what all of them can do.

    Raises:
        redis.RedisError: one did not answer.
    """
    found = [_ask(server) for server in servers(client)]
    return replace(
        min(found, key=lambda server: server.version),
        appendonly=all(server.appendonly for server in found),
        appendfsync=min((server.appendfsync for server in found), key=lambda it: it == "always"),
        maxmemory_policy=min(
            (server.maxmemory_policy for server in found), key=lambda it: it == "noeviction"
        ),
        replicas=min(server.replicas for server in found),
    )


def _ask(server: "redis.Redis") -> Server:
    info: Any = server.info()
    # Valkey tells the Redis version that it is compatible with as redis_version, and its own.
    version = str(info.get("valkey_version") or info["redis_version"])
    return Server(
        version=tuple(int(part) for part in re.findall(r"\d+", version)[:3]),
        name="Valkey" if "valkey_version" in info else "Redis",
        appendonly=bool(info.get("aof_enabled")),
        appendfsync=_config(server, "appendfsync"),
        maxmemory_policy=str(info.get("maxmemory_policy", "noeviction")),
        replicas=int(info.get("connected_slaves", 0)),
    )


def _config(client: "redis.Redis", name: str) -> str | None:
    try:
        found: Any = client.config_get(name)
    except redis.ResponseError:
        # Managed servers hide CONFIG.
        return None
    return {_text(key): _text(value) for key, value in found.items()}.get(name)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode()
