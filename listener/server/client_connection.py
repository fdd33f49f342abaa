"""A client's connection with bounds on what it may take of a worker: time, memory, a place.

gunicorn bounds the time for a request's head, but neither that for its body nor that for taking its
answer, and a full pool of connections accepts no more, however idle those in it are.
"""

import random
import socket
import time
from itertools import islice
from typing import Any

# A sender that is well needs milliseconds; the provider gives up after about four seconds [seen].
REQUEST_TIMEOUT_S = 10.0
# For the first byte on a new connection while places are few, and on any while the worker ends. Balancers
# connect in advance and send their first byte up to a minute later, so otherwise it is gunicorn's keepalive.
FIRST_BYTE_TIMEOUT_S = 5.0
WRITE_TIMEOUT_S = 10.0
# Closing more connections in one go would hold up the messages that come meanwhile.
MAX_EVICTED_AT_ONCE = 200
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# What a head may have before its end is there: gunicorn looks through all of it whenever more comes,
# and bounds its lines alone.
MAX_HEAD_BYTES = 64 * 1024
# What gunicorn asks the socket for where it does not know that all of it is a chunk's content.
FRAMED_SIZE = 8192
# After so many requests, or pieces of one, a connection gives its turn away.
YIELD_EVERY = 8
# A socket takes no bound of nought for one.
MIN_TIMEOUT_S = 0.001
# Bounds vary by so much, or else what began together would all have to be ended together.
JITTER = 0.25


class LongHeadError(Exception):
    """A request's head is longer than any that is meant."""


class WastefulBodyError(Exception):
    """More bytes came for a body than what it holds can need."""


class ConnectionLimiter:
    """The connections of a worker, by how long each has been at its present request.

    Where they are too many, or hold too much of unfinished requests in memory, those that have been at
    it longest make way: a message that comes in one piece is served even among thousands that drip.
    """

    def __init__(self, max_connections: int, max_bytes: int) -> None:
        """Takes how many there may be, and what they may have sent all together."""
        self._max_connections = max_connections
        self._plenty = max_connections // 2
        self._max_bytes = max_bytes
        self._bytes = 0
        self._held: dict[Connection, int] = {}

    def begin(self, connection: "Connection") -> None:
        """A connection begins to wait for a request: nobody is younger."""
        self.leave(connection)
        self._held[connection] = 0
        self._evict_oldest()

    def count_bytes(self, connection: "Connection", size: int) -> None:
        """So many bytes more came of its present request."""
        if connection in self._held:
            self._held[connection] += size
            self._bytes += size
            self._evict_oldest()

    def leave(self, connection: "Connection") -> None:
        """It is over, or has made way."""
        self._bytes -= self._held.pop(connection, 0)

    def evict_idle(self, idle_s: float) -> None:
        """Those that have waited for so long for a request make way."""
        for connection in [held for held in self._held if held.has_idled(idle_s)]:
            self._evict(connection)

    def evict_silent(self, idle_s: float) -> None:
        """Closes connections that never sent a byte in `idle_s` seconds while over half of the places are taken.

        The oldest go first, no more than it takes until half of the places are free, and no more than
        `MAX_EVICTED_AT_ONCE`.
        """
        excess = min(len(self._held) - self._plenty, MAX_EVICTED_AT_ONCE)
        if excess > 0:
            silent = (held for held in self._held if held.has_been_silent(idle_s))
            for connection in list(islice(silent, excess)):
                self._evict(connection)

    def _evict_oldest(self) -> None:
        if len(self._held) > self._max_connections:
            self._evict(next(iter(self._held)))
        # One alone may hold more: its own size is bounded elsewhere.
        while self._bytes > self._max_bytes and len(self._held) > 1:
            self._evict(next(oldest for oldest, size in self._held.items() if size))

    def _evict(self, connection: "Connection") -> None:
        self.leave(connection)
        connection.evict()


class Connection:
    """Stands in for the client's socket, as far as gunicorn uses one."""

    def __init__(
        self,
        sock: Any,
        limiter: ConnectionLimiter,
        request_timeout_s: float,
        write_timeout_s: float,
    ) -> None:
        """Takes a connected socket, the limiter that it joins, and bounds in seconds."""
        self._sock = sock
        self._limiter = limiter
        self._reading_s = request_timeout_s
        self._writing_s = write_timeout_s
        self._since = 0.0
        self._until = 0.0
        self._head_left: int | None = None
        # What came of the present body where framing may be, and the most that may.
        self._framed = 0
        self._most_framed: int | None = None
        self._steps = 0
        self._is_new = True
        self.request_started = False
        self.is_evicted = False
        self.owes_continue = False

    def await_request(self, idle_s: float, *, request_started: bool = False) -> None:
        """The client has so long to begin its next request, and `request_timeout_s` from then to end it.

        Args:
            idle_s: never less: a proxy relies on it when it uses its connection again.
            request_started: some of the request came with the one before.
        """
        self._yield_to_others()
        self.request_started = request_started
        self._since = time.monotonic()
        self._until = self._since + (jittered(self._reading_s) if request_started else idle_s)
        self._head_left = MAX_HEAD_BYTES
        self._framed, self._most_framed = 0, None
        self._limiter.begin(self)

    def end_head(self) -> None:
        """The head of the request is read; what comes now is its body."""
        self._head_left = None

    def bound_chunks(self, most: int | None) -> None:
        """Bounds what may be received of this request's body, chunks' sizes, extensions and trailers included.

        The contents of large chunks do not count: gunicorn asks for them by their size. None: no bound.
        """
        self._most_framed = most

    def has_idled(self, seconds: float) -> bool:
        """Whether it has waited for so long for a request that has not request_started."""
        return not self.request_started and time.monotonic() - self._since >= seconds

    def has_been_silent(self, seconds: float) -> bool:
        """Whether it has never sent a byte, for this time at the least."""
        return self._is_new and self.has_idled(seconds)

    def shorten_deadline(self, seconds: float) -> None:
        """Leaves no more than so long for whatever is still to be read of this request."""
        self._until = min(self._until, time.monotonic() + seconds)

    def recv(self, size: int) -> bytes:
        """Reads as a socket does; sends `100 Continue` first if the client waits for it.

        Raises:
            TimeoutError: the time for this request is over.
            LongHeadError: still no end of its head.
            WastefulBodyError: more came than `bound_chunks` allows; once.
        """
        self._yield_to_others()
        if self.owes_continue:
            self.owes_continue = False
            self.sendall(CONTINUE)
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time for this request is over")
        self._sock.settimeout(left)
        data: bytes = self._sock.recv(size)
        if data and not self.request_started:
            self.request_started = True
            self._is_new = False
            self._until = time.monotonic() + jittered(self._reading_s)
        self._limiter.count_bytes(self, len(data))
        if self._head_left is not None:
            self._head_left -= len(data)
            if self._head_left < 0:
                self.end_head()
                raise LongHeadError
        elif size <= FRAMED_SIZE:
            self._framed += len(data)
            if self._most_framed is not None and self._framed > self._most_framed:
                # What follows the answer is still drained.
                self._most_framed = None
                raise WastefulBodyError
        return data

    def sendall(self, data: bytes) -> None:
        """Writes as a socket does.

        Raises:
            TimeoutError: the client does not take its answers.
        """
        ends = time.monotonic() + self._writing_s
        self._sock.settimeout(self._writing_s)
        # Most answers go at once: gevent's sendall would first ask for the size of the socket's buffer.
        sent = self._sock.send(data)
        if sent < len(data):
            self._sock.settimeout(max(ends - time.monotonic(), MIN_TIMEOUT_S))
            self._sock.sendall(data[sent:])

    def evict(self) -> None:
        """Ends the reading, wherever it waits; what is ready to be answered still is."""
        self.is_evicted = True
        try:
            self._sock.shutdown(socket.SHUT_RD)
        except OSError:
            # It is gone already.
            pass

    def close(self) -> None:
        """Closes the socket and leaves the limiter."""
        self._limiter.leave(self)
        self._sock.close()

    def _yield_to_others(self) -> None:
        """Lets the other connections be served first, now and then.

        Under gevent only what waits makes way, and who sends faster than a worker reads never makes it
        wait: one such connection silenced a worker until its master killed it.
        """
        self._steps += 1
        if self._steps % YIELD_EVERY == 0:
            time.sleep(0)

    def __getattr__(self, name: str) -> Any:
        """Everything else is the socket's own."""
        return getattr(self._sock, name)


def jittered(seconds: float) -> float:
    """So many seconds, or up to a quarter less."""
    return seconds * random.uniform(1 - JITTER, 1)  # noqa: S311 (nothing depends on its being unforeseen)
