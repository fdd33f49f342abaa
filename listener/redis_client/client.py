"""Connections to Redis, with time limits and retries set on purpose."""

import threading
import time
from typing import Any

import redis
import structlog
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.exceptions import MaxConnectionsError
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

from listener.redis_client.cluster import Cluster
from listener.runtime.time_limit import time_limit
from listener.settings.redis_url import RedisUrl
from listener.settings.secret import Secret

log = structlog.get_logger("listener.redis")


# A connection that was unused for longer is replaced before it is used: firewalls and load balancers
# forget idle ones without a word (Azure after 240 s, AWS after 350 s). redis-py's keepalive, which probes
# after 30 s of silence and gives up 15 s later, covers those that are waited on.
TRUSTED_IDLE_S = 30.0
# Of one pool, which is one process's; what comes when all are in use waits for one.
MOST_CONNECTIONS = 16
# Each partition of a Cluster is waited for on a connection of its own.
MOST_WAITING = 1024
MISSED_S = 0.05
# What looking the name up, and trying its addresses, may take of the time of one address.
CONNECTING = 2
# Where the server cut the connection on a name, none is given for a while.
NAMELESS_S = 60.0


class _NameRefusedError(redis.ConnectionError):
    """The connection was cut when it was given a name."""


class Settled:
    """A connection that is closed when an answer did not come, and that is replaced after a long rest.

    The first keeps a late answer from being taken for that of the next command. redis-py's connections do
    so by themselves, except under Sentinel.

    The name, by which CLIENT LIST shows the connection, is an ornament: a server, or what stands before
    it, may refuse it (access rights, a renamed command) or cut the connection on it (twemproxy).
    """

    name = ""
    nameless_until = -float("inf")
    _used = -float("inf")

    def connect(self) -> None:
        """Called by the pool before each use, and by redis-py."""
        if self._sock and time.monotonic() - self._used > TRUSTED_IDLE_S:  # type: ignore[attr-defined]
            self.disconnect()  # type: ignore[attr-defined]
        try:
            super().connect()  # type: ignore[misc]
        except _NameRefusedError:
            super().connect()  # type: ignore[misc]

    def _connect(self) -> Any:
        """Called by redis-py, whose own limits bound neither the look-up of the name nor all addresses together."""
        each_s: float | None = getattr(self, "socket_connect_timeout", None)
        if each_s is None:
            return super()._connect()  # type: ignore[misc]
        with time_limit(CONNECTING * each_s, "connecting took too long"):
            return super()._connect()  # type: ignore[misc]

    def on_connect_check_health(self, check_health: bool = True) -> None:
        """Called by redis-py on a new connection."""
        super().on_connect_check_health(check_health)  # type: ignore[misc]
        self._used = time.monotonic()
        if time.monotonic() < self.nameless_until:
            return
        try:
            self.send_command("CLIENT", "SETNAME", self.name, check_health=False)  # type: ignore[attr-defined]
            self.read_response()
        except redis.ResponseError as refusal:
            log.debug("connection has no name", detail=str(refusal))
        except redis.TimeoutError:
            # The time is spent. The name may be why, or not: either way the next connection does without.
            type(self).nameless_until = time.monotonic() + NAMELESS_S
            raise
        except redis.ConnectionError as error:
            type(self).nameless_until = time.monotonic() + NAMELESS_S
            raise _NameRefusedError(str(error)) from error

    def read_response(self, *args: Any, disconnect_on_error: bool = True, **options: Any) -> Any:
        """Called by redis-py's clients."""
        answer = super().read_response(*args, disconnect_on_error=disconnect_on_error, **options)  # type: ignore[misc]
        self._used = time.monotonic()
        return answer


class Unpolled(Settled):
    """A connection that the pool does not ask, before each command, whether anything came.

    Under gevent the question takes as long as a round of the event loop, a fifth of a write that goes alone. All
    that it can find is that the server closed the connection; a command finds that as well, and is sent again.
    """

    def can_read(self, timeout: float = 0) -> bool:  # noqa: ARG002 (redis-py's signature)
        """Called by the pool."""
        return False


class Bounded:
    """A pool that has its callers wait for a connection where `max_connections` are in use.

    redis-py's own pool of that kind keeps every connection that Sentinel's pool rejects, for ever.
    """

    def __init__(self, *args: Any, wait_s: float, **options: Any) -> None:
        """See `redis.ConnectionPool`; `wait_s` is how long a caller waits."""
        self._wait_s = wait_s
        self._waiting = 0
        self._released = threading.Event()
        super().__init__(*args, **options)

    def get_connection(self, *args: Any, **options: Any) -> Any:
        """A connection that is ready.

        Raises:
            redis.ConnectionError: there is none in time, or it cannot be made ready.
        """
        try:
            return super().get_connection(*args, **options)  # type: ignore[misc]
        except MaxConnectionsError:
            return self._wait_for_connection()

    def release(self, connection: Any) -> None:
        """Called by redis-py's clients, once for each connection that they got."""
        super().release(connection)  # type: ignore[misc]
        if self._waiting:
            self._released.set()

    def _wait_for_connection(self) -> Any:
        deadline = time.monotonic() + self._wait_s
        self._waiting += 1
        try:
            while (left_s := deadline - time.monotonic()) > 0:
                self._released.clear()
                try:
                    return super().get_connection()  # type: ignore[misc]
                except MaxConnectionsError:
                    # Of two that are released at a time one may wake nobody.
                    self._released.wait(min(left_s, MISSED_S))
        finally:
            self._waiting -= 1
        raise redis.ConnectionError("every connection is in use")


class Pool(Bounded, redis.ConnectionPool):
    """The connections to one server."""


class SentinelPool(Bounded, SentinelConnectionPool):
    """The connections to the master that the Sentinels name."""


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
        once: no command is sent again; so a connection is looked at before it is used. For what waits
            for messages: each partition may need a connection.
        options: more options of `redis.Redis`.
    """
    kind = type("Named", (Settled if once else Unpolled,), {"name": name})
    limits = {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry": Retry(
            NoBackoff(), retries=0 if once else 1, supported_errors=(redis.ConnectionError,)
        ),
        "max_connections": MOST_WAITING if once else MOST_CONNECTIONS,
        "wait_s": timeout_s,
        # No more commands on a new connection than needed: each may take its own time limit. RESP2 says all
        # that the queue needs, and notices of a managed server's maintenance are not asked for.
        "protocol": 2,
        "driver_info": None,
        **options,
    }
    where = RedisUrl.parse(url.reveal())
    if where.mode == "cluster":
        return Cluster(
            where.hosts,
            lambda host, port: _single(kind, where.url_for(host, port), limits),
            timeout_s=timeout_s,
        )
    if where.mode == "sentinel":
        return _master(kind, where, limits, timeout_s)
    return _single(kind, url.reveal(), limits)


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


def _single(kind: type, url: str, limits: dict[str, Any]) -> "redis.Redis":
    client: redis.Redis = redis.Redis.from_pool(Pool.from_url(url, **limits))
    return _of(kind, client)


def _of(kind: type, client: "redis.Redis") -> "redis.Redis":
    """The client, with connections of that kind."""
    pool = client.connection_pool
    pool.connection_class = type(kind.__name__, (kind, pool.connection_class), {})
    return client


def _master(kind: type, where: RedisUrl, limits: dict[str, Any], timeout_s: float) -> "redis.Redis":
    each = parse_url(where.url_for(*where.hosts[0]))  # type: ignore[no-untyped-call]
    for name in ("host", "port", "connection_class"):
        each.pop(name, None)
    to_redis = {**each, **limits, "ssl": where.tls}
    # All Sentinels together get as much time as one reply of Redis may take.
    limit_s = timeout_s / len(where.hosts)
    to_sentinels = {
        **{
            name: value
            for name, value in to_redis.items()
            if name not in ("db", "decode_responses", "max_connections", "wait_s")
        },
        "username": where.options.get("sentinel_username"),
        "password": where.options.get("sentinel_password"),
        "socket_timeout": limit_s,
        "socket_connect_timeout": limit_s,
        "retry": Retry(NoBackoff(), retries=0),
    }
    sentinel = Sentinel(where.hosts, sentinel_kwargs=to_sentinels)  # type: ignore[no-untyped-call]
    for watching in sentinel.sentinels:
        _of(kind, watching)
    found: redis.Redis = sentinel.master_for(  # type: ignore[no-untyped-call]
        where.path, connection_pool_class=SentinelPool, **to_redis
    )
    return _of(kind, found)
