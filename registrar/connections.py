"""Connections that a watchdog can cut in whatever phase they are, and that know whether anything was sent."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import urllib3

# The least that one of several addresses of a host gets to answer in.
MIN_CONNECT_S = 0.25


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


class _Connection(urllib3.connection.HTTPConnection):
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
            share = _current.watchdog.left_s / addresses_left
            self.timeout = max(MIN_CONNECT_S, min(limit, share))
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


def _addresses(host: str, port: int | None) -> list[str]:
    """The addresses of a host name; the name itself where it leads nowhere, for urllib3 to say so."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return [host]
    return list(dict.fromkeys(str(entry[4][0]) for entry in found)) or [host]
