"""Connections that a watchdog can cut in whatever phase they are, and that know whether anything was sent."""

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import urllib3

# The least that one of several addresses of a host gets to answer in.
MIN_CONNECT_S = 0.25
# Of status line and headers: common servers send some hundred bytes, and limit what they read themselves to 8 to 64 KiB.
MAX_HEAD_BYTES = 64 * 1024


class Watchdog:
    """Cuts the connection of one exchange when its time is up."""

    def __init__(self, total_s: float) -> None:
        self.was_cut = False
        self.sent = False
        self._until = time.monotonic() + total_s
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()

    @property
    def left_s(self) -> float:
        """How much of the time is left."""
        return self._until - time.monotonic()

    def add(self, connected: socket.socket) -> None:
        """Watches one more connection."""
        # A handle of our own: the connection may close its own before the answer has been read.
        with self._lock:
            self._sockets.append(connected.dup())
        if self.was_cut:
            self.cut()

    def cut(self) -> None:
        """Ends what is watched, and whatever will be."""
        with self._lock:
            self.was_cut = True
            for handle in self._sockets:
                # It may have been closed by the other side meanwhile.
                with contextlib.suppress(OSError):
                    handle.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Watches nothing any more."""
        with self._lock:
            for handle in self._sockets:
                handle.close()
            self._sockets.clear()


class _Current(threading.local):
    """The watchdog of the exchange that the present thread is in."""

    watchdog: Watchdog | None = None


_current = _Current()


@contextlib.contextmanager
def watched(total_s: float) -> Iterator[Watchdog]:
    """Watches what this thread sends in the block, and cuts it after `total_s` seconds."""
    watchdog = _current.watchdog = Watchdog(total_s)
    timer = threading.Timer(total_s, watchdog.cut)
    timer.daemon = True
    timer.start()
    try:
        yield watchdog
    finally:
        timer.cancel()
        _current.watchdog = None
        watchdog.close()


class _Head:
    """Reads the lines of one answer's head, those of interim answers (100, 103) included, up to `MAX_HEAD_BYTES`."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self._left = MAX_HEAD_BYTES

    def readline(self, limit: int) -> bytes:
        line: bytes = self.file.readline(min(limit, self._left + 1))
        self._left -= len(line)
        if self._left < 0:
            raise http.client.HTTPException("the head of the answer is too long")
        return line

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


class _Response(http.client.HTTPResponse):
    """An answer whose head is bounded as a whole: http.client bounds its lines alone, at 6.5 MB together."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fp: Any = _Head(self.fp)

    def begin(self) -> None:
        super().begin()
        # None: it has no body, and is closed already.
        if isinstance(self.fp, _Head):
            self.fp = self.fp.file


class _Connection(urllib3.connection.HTTPConnection):
    response_class = _Response
    # What comes before, a proxy's CONNECT and TLS, carries nothing of the request.
    established = False
    handle: socket.socket | None = None

    def _new_conn(self) -> socket.socket:
        connected = self._connect_in_time()
        # A second handle, because the first one is wrapped for TLS.
        self.handle = connected.dup()
        self.watch()
        return connected

    def _connect_in_time(self) -> socket.socket:
        """Connects to the first address of the host that answers; all share the time that is left."""
        name, addresses = self._dns_host, _addresses(self._dns_host, self.port)
        try:
            for left in range(len(addresses), 1, -1):
                self._dns_host = addresses[-left]
                with contextlib.suppress(urllib3.exceptions.HTTPError):
                    return self._connect(left)
            self._dns_host = addresses[-1]
            return self._connect(1)
        finally:
            self._dns_host = name

    def _connect(self, addresses_left: int) -> socket.socket:
        limit = self.timeout
        if _current.watchdog and isinstance(limit, int | float):
            left_s = _current.watchdog.left_s
            if left_s <= 0:
                # A name may have a thousand addresses: the least that each one gets would last for minutes.
                raise urllib3.exceptions.ConnectTimeoutError(self, "no address answered in time")
            self.timeout = max(MIN_CONNECT_S, min(limit, left_s / addresses_left))
        try:
            return super()._new_conn()
        finally:
            self.timeout = limit

    def connect(self) -> None:
        self.established = False
        super().connect()
        self.established = True

    def putrequest(self, *args: Any, **kwargs: Any) -> None:
        # A kept connection: the watchdog of the request before has forgotten it.
        self.watch()
        super().putrequest(*args, **kwargs)

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        if _current.watchdog and self.established:
            _current.watchdog.sent = True
        super().send(data)

    def watch(self) -> None:
        if _current.watchdog and self.handle:
            _current.watchdog.add(self.handle)

    def close(self) -> None:
        if self.handle:
            self.handle.close()
            self.handle = None
        super().close()


class _SecureConnection(_Connection, urllib3.connection.HTTPSConnection):
    pass


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


POOLS: dict[str, type[urllib3.HTTPConnectionPool]] = {"http": _Pool, "https": _SecurePool}


def connect(host: str, port: int, total_s: float) -> socket.socket:
    """Connects to the first address of a host that answers; all of them share the time.

    Raises:
        OSError: none answered.
    """
    until = time.monotonic() + total_s
    addresses = _addresses(host, port)
    for left in range(len(addresses), 0, -1):
        share_s = max(MIN_CONNECT_S, (until - time.monotonic()) / left)
        if until <= time.monotonic():
            break
        with contextlib.suppress(OSError):
            return socket.create_connection((addresses[-left], port), share_s)
    raise TimeoutError("no address answered in time")


def _addresses(host: str, port: int | None) -> list[str]:
    """The addresses of a host name; the name itself where it leads nowhere, for urllib3 to say so."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return [host]
    return list(dict.fromkeys(str(entry[4][0]) for entry in found)) or [host]
