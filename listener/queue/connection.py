"""Connections to Redis, with time limits and retries set on purpose."""

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry
from redis.sentinel import Sentinel

from listener.queue.cluster import Cluster
from listener.redis_url import RedisUrl, parse
from listener.secret import Secret


class Settled:
    """Makes a class of connections that end where an answer did not come: the next command must not take it for its own.

    redis-py's connections do so, except under Sentinel: there one that timed out went back to the pool, and
    the late answer became that of the command after it, and so on.
    """

    def read_response(self, *args: Any, disconnect_on_error: bool = True, **options: Any) -> Any:
        """Called by redis-py's clients."""
        return super().read_response(*args, disconnect_on_error=disconnect_on_error, **options)  # type: ignore[misc]


class Unpolled(Settled):
    """Makes a class of connections that the pool does not ask, before each command, whether anything came.

    Under gevent the question takes as long as a round of the event loop, a fifth of a write that goes alone. All
    that it can find is that the server closed the connection; a command finds that as well, and is sent again.
    """

    def can_read(self, timeout: float = 0) -> bool:  # noqa: ARG002 (redis-py's signature)
        """Called by the pool."""
        return False


def connect(
    url: Secret, *, timeout_s: float, name: str, once: bool = False, **options: Any
) -> redis.Redis:
    """A client of its own for this process; connects when first used.

    Each single reply is waited for `timeout_s` at most, and so is a connection; a new connection
    and the first script call of a server take several replies. A connection
    that turns out to be broken (Redis was restarted) is replaced and the command is sent once more;
    a command that timed out is not sent again, as redis-py would do by default. Either may have been
    carried out although it failed here: what is sent must bear being sent twice.

    Under Sentinel each new connection goes to the master that the Sentinels name then, and one whose
    server turns out to be read-only is replaced. In a Cluster each command, and each pipeline, goes
    to the master of its key: see `Cluster`.

    Args:
        url: in one of the forms of REDIS_URL.
        timeout_s: seconds.
        name: how the connections show in CLIENT LIST.
        once: no command is sent again; so a connection is looked at before it is used.
        options: more options of `redis.Redis`.
    """
    kind = Settled if once else Unpolled
    limits = {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry": Retry(
            NoBackoff(), retries=0 if once else 1, supported_errors=(redis.ConnectionError,)
        ),
        "client_name": name,
        # One command on a new connection, not six: each may take its own time limit. RESP2 says all
        # that the queue needs, and notices of a managed server's maintenance are not asked for.
        "protocol": 2,
        "driver_info": None,
        **options,
    }
    where = parse(url.reveal())
    if where.mode == "cluster":
        return Cluster(
            where.hosts,
            lambda host, port: _of(kind, redis.Redis.from_url(where.at(host, port), **limits)),
            timeout_s=timeout_s,
        )
    if where.mode == "sentinel":
        return _of(kind, _master(where, limits, timeout_s))
    return _of(kind, redis.Redis.from_url(url.reveal(), **limits))


def servers(client: "redis.Redis") -> "list[redis.Redis]":
    """A client for each server that keeps messages: the masters of a Cluster, else the only one.

    Raises:
        redis.RedisError: no node of the Cluster answers.
    """
    return client.masters() if isinstance(client, Cluster) else [client]


def renew(client: "redis.Redis") -> None:
    """Has the next command find its server anew: the one used last did not keep what it was sent.

    A master that was replaced can go on answering: frozen and thawed, cut off from the others, or as
    a replica whose scripts fail with an error that redis-py does not recognise (Redis 6.2).
    """
    if isinstance(client, Cluster):
        client.forget()
    else:
        client.connection_pool.disconnect(inuse_connections=False)


def _of(kind: type, client: "redis.Redis") -> "redis.Redis":
    """The client, with connections of that kind."""
    pool = client.connection_pool
    pool.connection_class = type(kind.__name__, (kind, pool.connection_class), {})
    return client


def _master(where: RedisUrl, limits: dict[str, Any], timeout_s: float) -> redis.Redis:
    each = parse_url(where.at(*where.hosts[0]))  # type: ignore[no-untyped-call]
    for name in ("host", "port", "connection_class"):
        each.pop(name, None)
    to_redis = {**each, **limits, "ssl": where.tls}
    # All Sentinels together get as much time as one reply of Redis may take.
    limit_s = timeout_s / len(where.hosts)
    to_sentinels = {
        **{
            name: value
            for name, value in to_redis.items()
            if name not in ("db", "decode_responses")
        },
        "username": where.options.get("sentinel_username"),
        "password": where.options.get("sentinel_password"),
        "socket_timeout": limit_s,
        "socket_connect_timeout": limit_s,
        "retry": Retry(NoBackoff(), retries=0),
    }
    sentinel = Sentinel(where.hosts, sentinel_kwargs=to_sentinels)  # type: ignore[no-untyped-call]
    found: redis.Redis = sentinel.master_for(where.path, **to_redis)  # type: ignore[no-untyped-call]
    return found
