"""Connections that keep one deadline through DNS, connect, TLS, proxy and reply (docs/adr/0020)."""

import contextlib
import http.client
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, cast

import urllib3

from registrar.fan_out import fan_out

# The least that one of several addresses of a host gets to answer in.
MIN_CONNECT_S = 0.25
# Of status line and headers: common servers send some hundred bytes, and limit what they read to 8 to 64 KiB.
MAX_HEAD_BYTES = 64 * 1024


class Watchdog:
    """Shuts down the connections of one request when its time is over.

    Attributes:
        expired: whether the time was over before the request had ended.
        sent: whether any byte of the request may have reached the server.
    """

    def __init__(self, total_s: float) -> None:
        self.expired = False
        self.sent = False
        self._ends = time.monotonic() + total_s
        self._handles: list[socket.socket] = []
        # The timer's thread must not shut down a descriptor that was closed meanwhile, and belongs to another socket.
        self._lock = threading.Lock()

    @property
    def left_s(self) -> float:
        """How much of the time is left, in seconds."""
        return self._ends - time.monotonic()

    def watch(self, connected: Any) -> None:
        """Watches a connection, by whatever socket: plain or of TLS."""
        # A handle of its own: TLS replaces the socket, and it may be closed before the reply has been read.
        handle = socket.socket(fileno=os.dup(connected.fileno()))
        with self._lock:
            self._handles.append(handle)
        if self.expired:
            self.expire()

    def expire(self) -> None:
        """Shuts down what is watched, and what will be."""
        self.expired = True
        with self._lock:
            for handle in self._handles:
                # The other side may have closed it.
                with contextlib.suppress(OSError):
                    handle.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Releases the connections; a later request may use them."""
        with self._lock:
            for handle in self._handles:
                handle.close()
            self._handles.clear()


_current: ContextVar[Watchdog] = ContextVar("watchdog")


@contextlib.contextmanager
def watched(total_s: float) -> Iterator[Watchdog]:
    """Ends every request that this thread sends in the block after `total_s` seconds."""
    watchdog = Watchdog(total_s)
    previous = _current.set(watchdog)
    timer = threading.Timer(total_s, watchdog.expire)
    timer.daemon = True
    timer.start()
    try:
        yield watchdog
    finally:
        timer.cancel()
        _current.reset(previous)
        watchdog.close()


class _HeadReader:
    """Reads the lines of a reply's head, those of interim replies (100, 103) included, up to `MAX_HEAD_BYTES`."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self._left = MAX_HEAD_BYTES

    def readline(self, limit: int) -> bytes:
        line: bytes = self.file.readline(min(limit, self._left + 1))
        if not line and _current.get().expired:
            # http.client takes the end of a proxy's reply for its last line, and TLS would begin.
            raise http.client.HTTPException("the time is over")
        self._left -= len(line)
        if self._left < 0:
            raise http.client.HTTPException("the head of the reply is too long")
        return line

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


class _Response(http.client.HTTPResponse):
    """A response with a limit for its whole head: http.client limits each line, which allows 6.5 MB in all."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fp: Any = _HeadReader(self.fp)

    def begin(self) -> None:
        super().begin()
        # None: the response has no body, and is closed already.
        if isinstance(self.fp, _HeadReader):
            self.fp = self.fp.file


class _Connection(urllib3.connection.HTTPConnection):
    response_class = _Response

    def _new_conn(self) -> socket.socket:
        """urllib3's step before a proxy and TLS; its SOCKS connections replace it as well."""
        watchdog = _current.get()
        each_s = cast(float, self.timeout)
        try:
            connected = connect(self._dns_host, self.port, watchdog.left_s, each_s)
        except socket.gaierror as error:
            raise urllib3.exceptions.NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise urllib3.exceptions.ConnectTimeoutError(self, str(error)) from error
        except OSError as error:
            raise urllib3.exceptions.NewConnectionError(self, str(error)) from error
        for option in self.socket_options or ():
            connected.setsockopt(*option)
        watchdog.watch(connected)
        return connected

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is None:
            # urllib3 connects a plain connection only when it sends the first byte; `sent` must be False until then.
            self.connect()
        watchdog = _current.get()
        # Again, because the connection may be one that was kept after an earlier request.
        watchdog.watch(self.sock)
        watchdog.sent = True
        super().request(*args, **kwargs)


class _SecureConnection(_Connection, urllib3.connection.HTTPSConnection):
    pass


CONNECTIONS: dict[type, type[_Connection]] = {
    urllib3.HTTPConnectionPool: _Connection,
    urllib3.HTTPSConnectionPool: _SecureConnection,
}
"""The connections of each pool."""


def connect(host: str, port: int, total_s: float, each_s: float) -> socket.socket:
    """Connects to the first address of a host that answers.

    Args:
        host: a name or an address; an IPv6 address may stand in brackets.
        port: of TCP.
        total_s: the time for DNS and all addresses together.
        each_s: the most that one address gets; fewer seconds if there are many.

    Raises:
        OSError: no address answered. socket.gaierror: the name leads nowhere. TimeoutError: in time.
        UnicodeError: the name is none.
    """
    ends = time.monotonic() + total_s
    addresses = resolve(host, port, total_s)
    failure: OSError = TimeoutError("no address answered in time")
    for number, address in enumerate(addresses):
        left_s = ends - time.monotonic()
        if left_s <= 0:
            # A name may have a thousand addresses: the least that each one gets would last for minutes.
            break
        share_s = max(MIN_CONNECT_S, left_s / (len(addresses) - number))
        try:
            connected = socket.create_connection((address, port), min(each_s, share_s))
        except OSError as error:
            failure = error
        else:
            connected.settimeout(each_s)
            return connected
    raise failure


def resolve(host: str, port: int | None, timeout_s: float) -> list[str]:
    """The addresses of a host, in the system's order, each once.

    In a thread, because a name server that does not answer has no time limit in Python.

    Raises:
        socket.gaierror: the name leads nowhere.
        TimeoutError: no name server answered in time.
        UnicodeError: the name is none.
    """
    ends = time.monotonic() + timeout_s

    def addresses(name: str) -> list[str]:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    resolved = fan_out(addresses, [host.strip("[]")], lambda _: time.monotonic() >= ends, at_once=1)
    if not resolved:
        raise TimeoutError("no name server answered in time")
    return resolved[host.strip("[]")]
