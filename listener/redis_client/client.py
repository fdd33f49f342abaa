"""Connects to Redis as REDIS_URL says: one server, the master under Sentinel, or a Cluster."""

from collections.abc import Callable
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry
from redis.sentinel import Sentinel

from listener.redis_client.cluster import ClusterClient
from listener.redis_client.connection_pool import DisconnectOnTimeout, Pool, SentinelPool
from listener.settings.redis_url import RedisUrl
from listener.settings.secret import Secret

T = TypeVar("T")

# For each server and process. When all are in use, callers wait for one.
MAX_CONNECTIONS = 16
# As many partitions of a Cluster may each block a connection while they wait for messages.
MAX_BLOCKED_CONNECTIONS = 1024
# Options of a connection to Redis that a connection to a Sentinel does not have.
REDIS_ONLY = ("db", "decode_responses", "max_connections", "wait_s")


def connect(
    url: Secret, *, timeout_s: float, name: str, retry: bool = True, **options: Any
) -> redis.Redis:
    """A client of its own for this process; connects when first used.

    Each single reply is waited for `timeout_s` at most, and so is a connection; a new connection
    and the first script call of a server take several replies. A connection
    that turns out to be broken (Redis was restarted) is replaced and the command is sent once more;
    a command that timed out is not sent again, as redis-py would do by default. Either may have been
    carried out although it failed here, so every command must be idempotent.

    Under Sentinel each new connection goes to the master that the Sentinels name then, and one whose
    server turns out to be read-only is replaced. In a Cluster each command, and each pipeline, goes
    to the master of its key: see `ClusterClient`.

    Args:
        url: in one of the forms of REDIS_URL.
        timeout_s: seconds.
        name: how the connections show in CLIENT LIST.
        retry: False: no command is sent again, and a connection is polled before it is used. For
            commands that block until messages come: each partition may need a connection.
        options: more options of `redis.Redis`.
    """
    mixin = type("Named", (DisconnectOnTimeout,), {"name": name, "is_polled": not retry})
    limits = {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry": Retry(
            NoBackoff(), retries=1 if retry else 0, supported_errors=(redis.ConnectionError,)
        ),
        "max_connections": MAX_CONNECTIONS if retry else MAX_BLOCKED_CONNECTIONS,
        "wait_s": timeout_s,
        # Each command on a new connection may take a time limit of its own, so these send none: RESP2
        # needs no HELLO, and no library name and no notices of maintenance are exchanged.
        "protocol": 2,
        "driver_info": None,
        **options,
    }
    parsed = RedisUrl.parse(url.reveal())
    if parsed.mode == "cluster":
        return ClusterClient(
            parsed.hosts,
            lambda host, port: _single(mixin, parsed.url_for(host, port), limits),
            timeout_s=timeout_s,
        )
    if parsed.mode == "sentinel":
        return _master(mixin, parsed, limits, timeout_s)
    return _single(mixin, url.reveal(), limits)


def servers(client: "redis.Redis") -> "list[redis.Redis]":
    """A client for each server that keeps messages: the masters of a Cluster, else the only one.

    Raises:
        redis.RedisError: no node of the Cluster answers.
    """
    return client.masters() if isinstance(client, ClusterClient) else [client]


def unless_refused(call: Callable[[], T]) -> T | redis.ResponseError:
    """What a call returns, or the error with which the server answered it.

    Raises:
        redis.RedisError: the server did not answer.
    """
    try:
        return call()
    except redis.ResponseError as refusal:
        return refusal


def reset_connections(client: "redis.Redis") -> None:
    """Has the next command look its server up again, after the last one failed to keep a write.

    A master that was replaced can go on answering: frozen and resumed, cut off from the others, or as
    a replica whose scripts fail with an error that redis-py does not recognise (Redis 6.2).
    """
    if isinstance(client, ClusterClient):
        client.reset_topology()
    else:
        client.connection_pool.disconnect(inuse_connections=False)


def _single(mixin: type, url: str, limits: dict[str, Any]) -> "redis.Redis":
    client: redis.Redis = redis.Redis.from_pool(Pool.from_url(url, **limits))
    return _mixed_in(mixin, client)


def _mixed_in(mixin: type, client: "redis.Redis") -> "redis.Redis":
    """The client, whose connections are of redis-py's class with the mixin."""
    pool = client.connection_pool
    pool.connection_class = type(mixin.__name__, (mixin, pool.connection_class), {})
    return client


def _master(
    mixin: type, parsed: RedisUrl, limits: dict[str, Any], timeout_s: float
) -> "redis.Redis":
    from_url = parse_url(parsed.url_for(*parsed.hosts[0]))  # type: ignore[no-untyped-call]
    for name in ("host", "port", "connection_class"):
        from_url.pop(name, None)
    to_redis = {**from_url, **limits, "ssl": parsed.tls}
    # All Sentinels together get as much time as one reply of Redis may take.
    limit_s = timeout_s / len(parsed.hosts)
    to_sentinels = {
        **{name: value for name, value in to_redis.items() if name not in REDIS_ONLY},
        "username": parsed.options.get("sentinel_username"),
        "password": parsed.options.get("sentinel_password"),
        "socket_timeout": limit_s,
        "socket_connect_timeout": limit_s,
        "retry": Retry(NoBackoff(), retries=0),
    }
    sentinel = Sentinel(parsed.hosts, sentinel_kwargs=to_sentinels)  # type: ignore[no-untyped-call]
    for sentinel_client in sentinel.sentinels:
        _mixed_in(mixin, sentinel_client)
    master: redis.Redis = sentinel.master_for(  # type: ignore[no-untyped-call]
        parsed.path, connection_pool_class=SentinelPool, **to_redis
    )
    return _mixed_in(mixin, master)
