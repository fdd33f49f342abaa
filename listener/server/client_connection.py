"""A client's connection with deadlines and byte limits, and the limiter that evicts a worker's oldest connections.

gunicorn limits the time for a request's head, but neither for its body nor for sending the response, and a
worker whose pool is full accepts no more connections, however idle those in it are.
"""

import random
import socket
import time
from itertools import islice
from typing import Any

# A healthy sender needs milliseconds; the provider gives up after about four seconds [seen].
REQUEST_TIMEOUT_S = 10.0
# For the first byte on a new connection while places are scarce, and on any idle one while the worker stops.
# Otherwise gunicorn's keepalive applies, because load balancers connect up to a minute before they send.
FIRST_BYTE_TIMEOUT_S = 5.0
WRITE_TIMEOUT_S = 10.0
MIN_TIMEOUT_S = 0.001
# Evicting more at once would delay the messages that arrive meanwhile.
MAX_EVICTED_AT_ONCE = 200
# Reads and requests of one connection after which the worker's other connections get a turn.
YIELD_EVERY = 8
# Shortens timeouts at random by up to this share, so that connections opened together do not expire together.
JITTER = 0.25
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class ConnectionLimiter:
    """The connections of a worker, ordered by when their present requests began.

    While there are too many connections, or their unfinished requests hold too much memory, the oldest is
    evicted: a message that arrives in one piece is served even among thousands that drip.
    """

    def __init__(self, max_connections: int, max_bytes: int) -> None:
        self._max_connections = max_connections
        self._max_bytes = max_bytes
        self._bytes = 0
        self._bytes_of: dict[Connection, int] = {}

    def make_newest(self, connection: "Connection") -> None:
        """Adds a connection, or moves it to the end of the order because it waits for its next request."""
        self.remove(connection)
        self._bytes_of[connection] = 0
        self._evict_oldest()

    def count_bytes(self, connection: "Connection", size: int) -> None:
        """Adds to the size of the connection's present request."""
        if connection in self._bytes_of:
            self._bytes_of[connection] += size
            self._bytes += size
            self._evict_oldest()

    def remove(self, connection: "Connection") -> None:
        """Forgets a connection, if it is there: it was closed or evicted."""
        self._bytes -= self._bytes_of.pop(connection, 0)

    def evict_idle(self, idle_s: float) -> None:
        """Evicts all connections that have waited this long for a request to start."""
        for connection in [each for each in self._bytes_of if each.is_idle(idle_s)]:
            self._evict(connection)

    def evict_unused(self, idle_s: float) -> None:
        """Evicts connections that have sent nothing in `idle_s` seconds, until half of the places are free.

        The oldest go first, and at most `MAX_EVICTED_AT_ONCE`.
        """
        excess = min(len(self._bytes_of) - self._max_connections // 2, MAX_EVICTED_AT_ONCE)
        unused = (each for each in self._bytes_of if each.is_unused(idle_s))
        for connection in list(islice(unused, max(excess, 0))):
            self._evict(connection)

    def _evict_oldest(self) -> None:
        if len(self._bytes_of) > self._max_connections:
            self._evict(next(iter(self._bytes_of)))
        # A single request may hold more: its size has a limit of its own.
        while self._bytes > self._max_bytes and len(self._bytes_of) > 1:
            self._evict(next(oldest for oldest, size in self._bytes_of.items() if size))

    def _evict(self, connection: "Connection") -> None:
        self.remove(connection)
        connection.evict()


class Connection:
    """The client's socket as requests are read from it and the worker writes to it."""

    def __init__(
        self,
        sock: Any,
        limiter: ConnectionLimiter,
        request_timeout_s: float = REQUEST_TIMEOUT_S,
        write_timeout_s: float = WRITE_TIMEOUT_S,
    ) -> None:
        self._sock = sock
        self._limiter = limiter
        self._request_timeout_s = request_timeout_s
        self._write_timeout_s = write_timeout_s
        self._idle_since = 0.0
        self._deadline = 0.0
        # Received, and not read yet: of the present request or the next one.
        self._received = b""
        self._turns = 0
        self._is_new = True
        self.request_started = False
        self.is_evicted = False
        # `100 Continue` is sent when the body is first read from the socket.
        self.owes_continue = False

    def await_request(self, idle_s: float) -> None:
        """Begins the next request's deadline: `idle_s` to start, then the request timeout to be complete.

        A request has started if some of it arrived together with the previous one.

        Args:
            idle_s: never shortened, because proxies rely on it when they use a connection again.
        """
        self._yield_to_others()
        self.request_started = started = bool(self._received)
        self.owes_continue = False
        self._idle_since = time.monotonic()
        self._deadline = self._idle_since + (self._jittered_timeout() if started else idle_s)
        self._limiter.make_newest(self)

    def drain_within(self, seconds: float) -> None:
        """What is read from now on is thrown away: it has this much time, and gets no 100 Continue."""
        self.owes_continue = False
        self._deadline = min(self._deadline, time.monotonic() + seconds)

    def is_idle(self, seconds: float) -> bool:
        """Whether it has waited at least this long for a request to start."""
        return not self.request_started and time.monotonic() - self._idle_since >= seconds

    def is_unused(self, seconds: float) -> bool:
        """Whether it has been open for at least this long and never sent a byte."""
        return self._is_new and self.is_idle(seconds)

    def receive(self, size: int) -> bytes:
        """At most `size` bytes, first what `unread` gave back; none once the client has ended its side.

        Raises:
            TimeoutError: the deadline of the request has passed.
        """
        if not self._received:
            return self.recv(size)
        data, self._received = self._received[:size], self._received[size:]
        return data

    def unread(self, data: bytes) -> None:
        """Gives back what was received and is not read yet."""
        self._received = data + self._received

    def recv(self, size: int) -> bytes:
        """Reads as a socket does; sends `100 Continue` first if the client waits for it.

        Raises:
            TimeoutError: the deadline of the request has passed.
        """
        self._yield_to_others()
        if self.owes_continue:
            self.owes_continue = False
            self.sendall(CONTINUE)
        remaining_s = self._deadline - time.monotonic()
        if remaining_s <= 0:
            raise TimeoutError("the deadline of the request has passed")
        self._sock.settimeout(remaining_s)
        data: bytes = self._sock.recv(size)
        if data and not self.request_started:
            self.request_started = True
            self._is_new = False
            self._deadline = time.monotonic() + self._jittered_timeout()
        self._limiter.count_bytes(self, len(data))
        return data

    def sendall(self, data: bytes) -> None:
        """Writes as a socket does.

        Raises:
            TimeoutError: the client does not read its response.
        """
        deadline = time.monotonic() + self._write_timeout_s
        self._sock.settimeout(self._write_timeout_s)
        # gevent's `sendall` makes a timer and asks for the size of the buffer, in which nearly every response fits.
        sent = self._sock.send(data)
        if sent < len(data):
            # Zero would mean: do not wait.
            self._sock.settimeout(max(deadline - time.monotonic(), MIN_TIMEOUT_S))
            self._sock.sendall(memoryview(data)[sent:])

    def evict(self) -> None:
        """Ends all reading; a request that was already read is still answered."""
        self.is_evicted = True
        try:
            self._sock.shutdown(socket.SHUT_RD)
        except OSError:
            # The client has closed it already.
            pass

    def close(self) -> None:
        self._limiter.remove(self)
        self._sock.close()

    def _jittered_timeout(self) -> float:
        return self._request_timeout_s * random.uniform(1 - JITTER, 1)  # noqa: S311 (no secret)

    def _yield_to_others(self) -> None:
        """Lets the worker's other greenlets run now and then.

        A greenlet gives way only where it waits, and a client that sends faster than the worker reads never
        makes it wait: one such connection silenced a worker until gunicorn's master killed it.
        """
        self._turns += 1
        if self._turns % YIELD_EVERY == 0:
            time.sleep(0)

    def __getattr__(self, name: str) -> Any:
        """Everything else is the socket's own."""
        return getattr(self._sock, name)
