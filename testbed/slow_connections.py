"""Slow connections as an attacker opens them: slow heads, bodies and chunks, unread responses, silence."""

import itertools
import socket
import time
from collections import Counter

from testbed.ports import HOST

DRIP_S = 1.0
HEALTH_CHECK = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"


def kinds_of(head: bytes) -> dict[str, tuple[bytes, bytes]]:
    """Each kind of slow connection: what it sends first, and what it sends every second."""
    return {
        "head": (head + b"X-Slow: ", b"a"),
        "body": (head + b"Content-Length: 60000\r\n\r\n{", b" "),
        "chunks": (head + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        "unread": (HEALTH_CHECK, HEALTH_CHECK),
        "silent": (b"", b""),
    }


class SlowConnections:
    """A constant number of slow connections: those that the server closes are opened again.

    Args:
        port: of 127.0.0.1.
        number: of connections, in equal parts of each kind.
        head: of a request that the server reads as far as its body, without the last line break.

    Attributes:
        opened: how many of each kind were opened in all.
    """

    def __init__(self, port: int, number: int, head: bytes) -> None:
        self._port = port
        self._kinds = kinds_of(head)
        self.opened = Counter[str]()
        kinds = itertools.islice(itertools.cycle(self._kinds), number)
        self._connections = [(kind, self._open(kind)) for kind in kinds]

    def hold(self, seconds: float) -> None:
        """Sends on each connection every second, and opens again what was closed."""
        count, begun = len(self._connections), time.monotonic()
        # Spread over the second, as independent clients are.
        for step in range(int(seconds * count / DRIP_S)):
            time.sleep(max(0.0, begun + step * DRIP_S / count - time.monotonic()))
            kind, connection = self._connections[step % count]
            self._connections[step % count] = (kind, self._drip(kind, connection))

    def close(self) -> None:
        for _, connection in self._connections:
            connection.close()

    def _open(self, kind: str) -> socket.socket:
        self.opened[kind] += 1
        connection = socket.create_connection((HOST, self._port), timeout=10)
        connection.sendall(self._kinds[kind][0])
        connection.setblocking(False)
        return connection

    def _drip(self, kind: str, connection: socket.socket) -> socket.socket:
        try:
            # The kind `unread` must leave the responses unread.
            if kind != "unread" and connection.recv(4096) == b"":
                raise ConnectionResetError
        except BlockingIOError:
            pass
        except OSError:
            connection.close()
            return self._open(kind)
        try:
            connection.sendall(self._kinds[kind][1])
        except BlockingIOError:
            pass
        except OSError:
            connection.close()
            return self._open(kind)
        return connection
