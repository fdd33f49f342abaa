"""Connections to Redis with a time limit for each step and a maximum idle age, and pools with a maximum size."""

import threading
import time
from typing import Any

import redis
import structlog
from redis.exceptions import MaxConnectionsError
from redis.sentinel import SentinelConnectionPool

from listener.runtime.time_limit import time_limit

log = structlog.get_logger("listener.redis")

# A connection that was idle for longer is replaced before it is used: firewalls and load balancers drop
# idle ones silently (Azure after 240 s, AWS after 350 s). While a command waits, redis-py's TCP keepalive
# covers its connection: it probes after 30 s of silence and gives up 15 s later.
MAX_IDLE_S = 30.0
# Looking the name up and trying each of its addresses may take this multiple of one address's time limit.
CONNECT_FACTOR = 2
# After a server cut a connection on CLIENT SETNAME, new connections stay unnamed for this long.
UNNAMED_S = 60.0
# How often a caller that waits for a connection looks for one without having been woken.
RELEASE_POLL_S = 0.05


class _NameRefusedError(redis.ConnectionError):
    """The server cut the connection on CLIENT SETNAME."""


class DisconnectOnTimeout:
    """A mixin for redis-py's connection classes, which closes a connection whose reply did not come.

    A late reply is thus never read as the reply to the next command. redis-py's connections do this by
    themselves, except under Sentinel. The mixin also bounds the time that connecting takes, replaces
    connections that were idle for long, and names them.

    The name, which CLIENT LIST shows, is optional: a server, or a proxy in front of it, may refuse it
    (access rights, a renamed command) or cut the connection on it (twemproxy).

    Attributes:
        name: what CLIENT LIST shows.
        is_polled: whether the pool looks, before each command, for data that nobody asked for. Under
            gevent this takes a round of the event loop, about 0.15 ms. All that it can find is that the
            server closed the connection. The command finds that as well, so a client that sends a
            command once more after a lost connection does without.
    """

    name = ""
    is_polled = True
    unnamed_until = -float("inf")
    _used = -float("inf")

    def connect(self) -> None:
        """Called by the pool before each use, and by redis-py."""
        if self._sock and time.monotonic() - self._used > MAX_IDLE_S:  # type: ignore[attr-defined]
            self.disconnect()  # type: ignore[attr-defined]
        try:
            super().connect()  # type: ignore[misc]
        except _NameRefusedError:
            super().connect()  # type: ignore[misc]

    def _connect(self) -> Any:
        """Called by redis-py, whose own limit is for each address, and does not cover looking the name up."""
        each_s: float | None = getattr(self, "socket_connect_timeout", None)
        if each_s is None:
            return super()._connect()  # type: ignore[misc]
        with time_limit(CONNECT_FACTOR * each_s, "connecting took too long"):
            return super()._connect()  # type: ignore[misc]

    def on_connect_check_health(self, check_health: bool = True) -> None:
        """Called by redis-py on a new connection."""
        super().on_connect_check_health(check_health)  # type: ignore[misc]
        self._used = time.monotonic()
        if time.monotonic() < self.unnamed_until:
            return
        try:
            self.send_command("CLIENT", "SETNAME", self.name, check_health=False)  # type: ignore[attr-defined]
            self.read_response()
        except redis.ResponseError as refusal:
            log.debug("connection has no name", detail=str(refusal))
        except redis.TimeoutError:
            # The time is spent. The name may be the reason, so the next connection does without.
            type(self).unnamed_until = time.monotonic() + UNNAMED_S
            raise
        except redis.ConnectionError as error:
            type(self).unnamed_until = time.monotonic() + UNNAMED_S
            raise _NameRefusedError(str(error)) from error

    def can_read(self, timeout: float = 0) -> bool:
        """Called by the pool before each command."""
        return self.is_polled and super().can_read(timeout)  # type: ignore[misc]

    def read_response(self, *args: Any, disconnect_on_error: bool = True, **options: Any) -> Any:
        """Called by redis-py's clients."""
        response = super().read_response(*args, disconnect_on_error=disconnect_on_error, **options)  # type: ignore[misc]
        self._used = time.monotonic()
        return response


class WaitForConnection:
    """A mixin for redis-py's pools, whose callers wait where `max_connections` are in use.

    redis-py's own pool of this kind never gets back a connection that Sentinel's pool rejects.
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
            redis.ConnectionError: none became free in time, or it cannot be made ready.
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
                    # Two connections that are released at once may wake only one caller.
                    self._released.wait(min(left_s, RELEASE_POLL_S))
        finally:
            self._waiting -= 1
        raise redis.ConnectionError("every connection is in use")


class Pool(WaitForConnection, redis.ConnectionPool):
    """The connections to one server."""


class SentinelPool(WaitForConnection, SentinelConnectionPool):
    """The connections to the master that the Sentinels name."""
