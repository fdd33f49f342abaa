"""The open loop: sends at a fixed rate whether responses come or not.

A generator that waits for a response before it sends the next request omits just those requests that
would have waited longest (coordinated omission). Here latency counts from the time at which a message
was due, also if every connection was still busy then.
"""

import contextlib
import re
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.load import messages
from bench.load.messages import PATH, Template
from bench.report.stats import percentile
from testbed.ports import HOST

CONTENT_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
TIMEOUT_S = 10.0
SETTLE_S = 1.0
PERCENTILES = {"p50_ms": 50, "p99_ms": 99, "p999_ms": 99.9}


def drive(
    port: int,
    templates: Sequence[Template],
    *,
    rate: float,
    connections: int,
    seconds: int,
    first: int,
) -> dict[str, Any]:
    """Sends messages at a fixed rate; the latencies of the first `SETTLE_S` do not count.

    Returns:
        The figures that `closed_loop.drive` returns.
    """
    generator = Generator(port, lambda number: messages.body(templates, number), connections)
    outcome = generator.run(rate, seconds + SETTLE_S, first=first, settle_s=SETTLE_S)
    latencies = outcome.latencies_ms
    return {
        "seconds": seconds + SETTLE_S,
        "rate": rate,
        "kept": outcome.kept,
        "refused": 0,
        "broken": outcome.failed,
        **{name: percentile(latencies, share) for name, share in PERCENTILES.items()},
        "max_ms": max(latencies),
    }


@dataclass
class Outcome:
    """What came of a run.

    Attributes:
        latencies_ms: from the due time, of requests answered 200.
        kept: requests answered 200.
        failed: other responses, and none.
    """

    latencies_ms: list[float] = field(default_factory=list)
    kept: int = 0
    failed: int = 0


class Generator:
    """One run, on one thread.

    Args:
        port: of 127.0.0.1.
        body: makes the body of a message from its number.
        connections: the largest number at a time.
        keep_alive: False: each request has a connection of its own.
    """

    def __init__(
        self,
        port: int,
        body: Callable[[int], bytes],
        connections: int,
        *,
        keep_alive: bool = True,
    ) -> None:
        self._port = port
        self._body = body
        self._max_connections = connections
        self._keep_alive = keep_alive
        self._idle: list[_Connection] = []
        self._busy: set[_Connection] = set()
        self._late: deque[float] = deque()
        self._outcome = Outcome()
        self._number = 0

    def run(self, rate: float, seconds: float, *, first: int, settle_s: float = 0.0) -> Outcome:
        """Sends for a number of seconds and waits for the last responses.

        Args:
            rate: requests a second.
            seconds: how long.
            first: the number of the first message.
            settle_s: the latencies of these first seconds are not kept.
        """
        self._number = first
        start = time.perf_counter()
        count_from = start + settle_s
        for step in range(int(rate * seconds)):
            self._receive_until(start + step / rate, count_from)
            self._late.append(start + step / rate)
            self._send_late()
        deadline = time.perf_counter() + TIMEOUT_S
        while self._busy and time.perf_counter() < deadline:
            self._receive(0.1, count_from)
        self._outcome.failed += len(self._busy) + len(self._late)
        for connection in (*self._idle, *self._busy):
            connection.close()
        return self._outcome

    def _receive_until(self, due: float, count_from: float) -> None:
        while (left := due - time.perf_counter()) > 0:
            self._receive(left, count_from)

    def _receive(self, timeout_s: float, count_from: float) -> None:
        # select rather than epoll: Python gives epoll whole milliseconds only.
        readable, _, _ = select.select([*self._busy, *self._idle], [], [], timeout_s)
        for connection in readable:
            self._read(connection, count_from)
        self._send_late()

    def _read(self, connection: "_Connection", count_from: float) -> None:
        status = connection.read_status()
        if status is None:
            return
        if connection in self._idle:
            # The server closed a connection that was not in use.
            self._idle.remove(connection)
            connection.close()
            return
        self._busy.remove(connection)
        self._count(status, connection.due, count_from)
        if status and self._keep_alive:
            self._idle.append(connection)
        else:
            connection.close()

    def _count(self, status: int, due: float, count_from: float) -> None:
        if status != 200:
            self._outcome.failed += 1
            return
        self._outcome.kept += 1
        if due >= count_from:
            self._outcome.latencies_ms.append((time.perf_counter() - due) * 1000)

    def _send_late(self) -> None:
        while self._late and (self._idle or len(self._busy) < self._max_connections):
            connection = self._idle.pop() if self._idle else _Connection(self._port)
            body = self._body(self._number)
            self._number += 1
            connection.send(self._head(len(body)) + body, self._late.popleft())
            self._busy.add(connection)

    def _head(self, length: int) -> bytes:
        close = "" if self._keep_alive else "Connection: close\r\n"
        return (
            f"POST {PATH} HTTP/1.1\r\nHost: {HOST}:{self._port}\r\n{close}"
            f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        ).encode()


class _Connection:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port), timeout=TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = 0.0
        self._received = b""

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, request: bytes, due: float) -> None:
        self.due, self._received = due, b""
        self.socket.sendall(request)

    def read_status(self) -> int | None:
        """Reads what has arrived; the status of a complete response, 0 if the connection failed."""
        try:
            piece = self.socket.recv(65536)
        except OSError:
            piece = b""
        if not piece:
            return 0
        self._received += piece
        head, separator, body = self._received.partition(b"\r\n\r\n")
        length = CONTENT_LENGTH.search(head)
        if not separator or not length or len(body) < int(length[1]):
            return None
        return int(head.split(b" ", 2)[1])

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.close()
