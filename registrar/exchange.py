"""One HTTP request and its answer, with an end: so many seconds and bytes, whatever the server does."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

from registrar.refusals import Reply

# The largest answer that is read: a thousand times what the provider sends.
MAX_REPLY_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """Seconds to connect, and to wait for each next byte; together, of the whole exchange."""

    connect_s: float
    read_s: float

    @property
    def total_s(self) -> float:
        """After so long the connection is cut; only the search for the host's address may take longer."""
        return self.connect_s + self.read_s


def exchange(
    method: str, url: str, limits: Limits, *, trust_env: bool = True, **request: Any
) -> Reply:
    """The answer, whatever it says, over a connection of its own; no redirect is followed.

    A body beyond `MAX_REPLY_BYTES` is cut there.

    Args:
        method: of HTTP.
        url: where to.
        limits: of time.
        trust_env: whether the environment may name a proxy and certificates.
        request: more of what `requests.request` takes.

    Raises:
        requests.RequestException: there was no answer. Nothing else.
    """
    line = _Line()
    with line.cut_after(limits.total_s), requests.Session() as session:
        session.trust_env = trust_env
        # Else requests puts the machine's ~/.netrc in place of the Authorization header.
        session.auth = _unchanged
        for scheme in ("http://", "https://"):
            session.mount(scheme, _Adapter(line))
        timeouts = (limits.connect_s, limits.read_s)
        try:
            with session.request(
                method, url, timeout=timeouts, allow_redirects=False, stream=True, **request
            ) as response:
                named = {name.lower(): value for name, value in response.headers.items()}
                reply = Reply(response.status_code, _body(response), named)
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
            raise line.explained(error) from error
        if line.was_cut:
            # A body without a length that is cut looks like one that is complete.
            raise requests.ReadTimeout("the answer took too long")
    return reply


class _Line:
    """The connection of one exchange, for a timer to cut in whatever phase it is."""

    def __init__(self) -> None:
        self.was_cut = False
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()

    def add(self, connected: socket.socket) -> None:
        # A second handle of the same connection: the first one is wrapped for TLS, and closed elsewhere.
        with self._lock:
            self._sockets.append(connected.dup())
        if self.was_cut:
            self._cut()

    @contextlib.contextmanager
    def cut_after(self, seconds: float) -> Iterator[None]:
        timer = threading.Timer(seconds, self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            with self._lock:
                for handle in self._sockets:
                    handle.close()
                self._sockets.clear()

    def explained(self, error: Exception) -> requests.RequestException:
        """What really happened: the rest of the program reads this one family of errors."""
        if self.was_cut:
            return requests.ReadTimeout("the answer took too long")
        if isinstance(error, requests.RequestException):
            return error
        if isinstance(error, UnicodeError | urllib3.exceptions.LocationValueError):
            # A host's name or a header that cannot be encoded: nothing was sent.
            return requests.exceptions.InvalidURL(type(error).__name__)
        return requests.ConnectionError(error)

    def _cut(self) -> None:
        with self._lock:
            self.was_cut = True
            for handle in self._sockets:
                # It may have been closed by the other side meanwhile.
                with contextlib.suppress(OSError):
                    handle.shutdown(socket.SHUT_RDWR)


class _Adapter(HTTPAdapter):
    """Shows the connections that it opens, also those to a proxy, to the line."""

    def __init__(self, line: _Line) -> None:
        self._pools = _pools(line)
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        if isinstance(manager, urllib3.ProxyManager):
            manager.pool_classes_by_scheme = self._pools
        return manager


def _pools(line: _Line) -> dict[str, type[urllib3.HTTPConnectionPool]]:
    class Plain(urllib3.connection.HTTPConnection):
        def _new_conn(self) -> socket.socket:
            connected = super()._new_conn()
            line.add(connected)
            return connected

    class Secure(urllib3.connection.HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            connected = super()._new_conn()
            line.add(connected)
            return connected

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _body(response: requests.Response) -> bytes:
    body = b""
    for chunk in response.iter_content(65536):
        body += chunk
        if len(body) > MAX_REPLY_BYTES:
            break
    return body
