"""Sends messages at a steady rate, whatever becomes of the ones before, as ThingSpace does."""

import http.client
import json
import random
import select
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.chaos.ledger import Attempt, Ledger, Sent

SAMPLES = [
    json.loads(sample.read_text())
    for sample in sorted((Path(__file__).parents[1] / "messages").glob("*.json"))
]
LOGIN = {"username": "listener", "password": "correct-horse-battery"}
# Enough for a few seconds without an answer at the highest rate.
MOST_AT_ONCE = 1000
TIMEOUT_S = 10.0
# As has been seen of the provider: one more attempt after this long, and then no more.
RETRY_S = (1.2, 1.7)
# The provider promises nothing about duplicates: of so many messages one is sent twice at once.
ONE_TWICE_IN = 20
# Less than the service keeps an idle connection, so that it is not closed under a request.
IDLE_S = 2.0


class Sender:
    """Sends while the block of `sending` runs; each message bears a mark of its own.

    Args:
        port: of 127.0.0.1, where the service listens.
        path: of the callback.
        rate: messages a second.
        chance: where its random choices come from.
    """

    def __init__(self, port: int, path: str, rate: float, chance: random.Random) -> None:
        self._connections = Connections(port)
        self._path = path
        self._rate = rate
        self._chance = chance
        self._number = 0

    @contextmanager
    def sending(self, ledger: Ledger) -> Iterator[None]:
        """Sends until the block ends, and returns once every message has had its last attempt."""
        stop = threading.Event()
        with ThreadPoolExecutor(MOST_AT_ONCE) as pool, ThreadPoolExecutor(1) as pacer:
            pace = pacer.submit(self._pace, pool, ledger, stop)
            try:
                yield
            finally:
                stop.set()
                for delivery in pace.result():
                    delivery.result()

    def close(self) -> None:
        self._connections.close()

    def _pace(
        self, pool: ThreadPoolExecutor, ledger: Ledger, stop: threading.Event
    ) -> list["Future[None]"]:
        deliveries: list[Future[None]] = []
        due = time.monotonic()
        while not stop.wait(max(0.0, due - time.monotonic())):
            due += 1 / self._rate
            mark, content = self._next_message()
            sent = ledger.send(mark, content)
            body = json.dumps({**content, **LOGIN}).encode()
            times = 2 if self._chance.randrange(ONE_TWICE_IN) == 0 else 1
            deliveries += [pool.submit(self._deliver, sent, body) for _ in range(times)]
        return deliveries

    def _next_message(self) -> tuple[str, dict[str, Any]]:
        """A sample, less its credentials, made unlike every other message."""
        self._number += 1
        mark = f"m-{self._number}"
        sample = json.loads(json.dumps(self._chance.choice(SAMPLES)))
        content = {name: value for name, value in sample.items() if name not in LOGIN}
        # At the top it is no member that the service knows; in its place it chooses the partition.
        content["mark"] = mark
        for part in content.values():
            if isinstance(part, dict) and "upgradeId" in part:
                part["upgradeId"] = mark
        return mark, content

    def _deliver(self, sent: Sent, body: bytes) -> None:
        for pause_s in (0.0, self._chance.uniform(*RETRY_S)):
            time.sleep(pause_s)
            attempt = self._attempt(body)
            sent.attempts.append(attempt)
            if attempt.acknowledged:
                return

    def _attempt(self, body: bytes) -> Attempt:
        started = time.monotonic()
        status = self._connections.post(self._path, body)
        return Attempt(started, time.monotonic() - started, status)


class Connections:
    """Connections that are kept alive between requests, the one used last first."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[float, http.client.HTTPConnection]] = []
        self._lock = threading.Lock()

    def post(self, path: str, body: bytes) -> int | None:
        """Sends a request; the status of its answer, or None if none came."""
        connection = self._take()
        try:
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            return None
        self._give(connection)
        return answer.status

    def close(self) -> None:
        for _, connection in self._idle:
            connection.close()

    def _take(self) -> http.client.HTTPConnection:
        while True:
            with self._lock:
                if not self._idle:
                    return http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_S)
                since, connection = self._idle.pop()
            if time.monotonic() - since < IDLE_S and _is_quiet(connection):
                return connection
            connection.close()

    def _give(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            self._idle.append((time.monotonic(), connection))


def _is_quiet(connection: http.client.HTTPConnection) -> bool:
    """Whether the other side has neither closed the connection nor said anything unasked."""
    if connection.sock is None:
        # The answer before asked for it to be closed: the next request opens it again.
        return True
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return not poll.poll(0)
