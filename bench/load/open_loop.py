"""Sends at a fixed rate, whether answers come or not, and measures from when each was due.

A generator that waits for an answer before it sends the next request leaves out just those requests
that would have waited longest. Here a request that cannot be sent when it is due, because every
connection still waits, has its waiting counted.
"""

import contextlib
import re
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
PATIENCE_S = 10.0


@dataclass
class Outcome:
    """What came of it: latencies in milliseconds from the due time, and how many failed."""

    latencies_ms: list[float] = field(default_factory=list)
    kept: int = 0
    failed: int = 0


class _Connection:
    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = 0.0
        self._got = b""

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, request: bytes, due: float) -> None:
        self.due, self._got = due, b""
        self.socket.sendall(request)

    def status(self) -> int | None:
        """Reads what is there: the status once the answer is whole, 0 if the connection broke."""
        try:
            part = self.socket.recv(65536)
        except OSError:
            part = b""
        if not part:
            return 0
        self._got += part
        head, separator, body = self._got.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if not separator or not length or len(body) < int(length[1]):
            return None
        return int(head.split(b" ", 2)[1])


class Generator:
    """One run, on one thread."""

    def __init__(
        self, address: tuple[str, int], body: Callable[[int], bytes], *, path: str, connections: int
    ) -> None:
        """Takes where to send, what (by number), and over how many connections at the most."""
        self._address = address
        self._body = body
        self._head = f"POST {path} HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\n"
        self._most = connections
        self._idle: list[_Connection] = []
        self._busy: set[_Connection] = set()
        self._late: deque[float] = deque()
        self._outcome = Outcome()
        self._number = 0

    def run(self, rate: float, seconds: float, *, first: int, settle_s: float) -> Outcome:
        """Sends for some seconds; the latencies of the first `settle_s` seconds are not counted.

        Args:
            rate: requests a second.
            seconds: how long.
            first: the number of the first message.
            settle_s: seconds.
        """
        self._number = first
        start = time.perf_counter()
        count_from = start + settle_s
        for step in range(int(rate * seconds)):
            self._receive_until(start + step / rate, count_from)
            self._late.append(start + step / rate)
            self._send_late()
        deadline = time.perf_counter() + PATIENCE_S
        while self._busy and time.perf_counter() < deadline:
            self._receive(0.1, count_from)
        self._outcome.failed += len(self._busy) + len(self._late)
        self._close()
        return self._outcome

    def _receive_until(self, due: float, count_from: float) -> None:
        while (left := due - time.perf_counter()) > 0:
            self._receive(left, count_from)

    def _receive(self, timeout_s: float, count_from: float) -> None:
        # select rather than epoll: Python gives epoll whole milliseconds only.
        readable, _, _ = select.select([*self._busy, *self._idle], [], [], timeout_s)
        for connection in readable:
            self._take(connection, count_from)
        self._send_late()

    def _take(self, connection: _Connection, count_from: float) -> None:
        status = connection.status()
        if status is None:
            return
        if connection in self._idle:
            # The server ended a connection that was not in use.
            self._idle.remove(connection)
            connection.socket.close()
            return
        self._busy.remove(connection)
        self._count(status, connection.due, count_from)
        if status:
            self._idle.append(connection)
        else:
            connection.socket.close()

    def _count(self, status: int, due: float, count_from: float) -> None:
        if status != 200:
            self._outcome.failed += 1
            return
        self._outcome.kept += 1
        if due >= count_from:
            self._outcome.latencies_ms.append((time.perf_counter() - due) * 1000)

    def _send_late(self) -> None:
        while self._late and (self._idle or len(self._busy) < self._most):
            connection = self._idle.pop() if self._idle else _Connection(self._address)
            body = self._body(self._number)
            self._number += 1
            head = f"{self._head}Content-Type: application/json\r\nContent-Length: {len(body)}"
            connection.send(head.encode() + b"\r\n\r\n" + body, self._late.popleft())
            self._busy.add(connection)

    def _close(self) -> None:
        for connection in (*self._idle, *self._busy):
            with contextlib.suppress(OSError):
                connection.socket.close()
