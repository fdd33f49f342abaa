"""Sends messages at a fixed rate as ThingSpace does: with retries, concurrent and late duplicates."""

import http.client
import json
import select
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from typing import Any

from bench.chaos.ledger import Attempt, Ledger, SentMessage
from bench.chaos.variants import Variant, choose
from bench.load.messages import LOGIN, SAMPLE_DIR
from testbed.ports import HOST

SAMPLES = [json.loads(path.read_text()) for path in sorted(SAMPLE_DIR.glob("*.json"))]
# Enough for a few seconds without an answer at the highest rate.
MAX_CONCURRENT = 1000
TIMEOUT_S = 10.0
# As observed of the provider: one retry after this long, then it drops the message.
RETRY_S = (1.2, 1.7)
# The provider does not rule out duplicates: one message in 20 is sent twice at the same time.
CONCURRENT_DUPLICATE_ONE_IN = 20
# One message in 8 is sent again late: at most this share of the de-duplication window after it was first sent.
LATE_DUPLICATE_ONE_IN = 8
LATEST_SHARE_OF_WINDOW = 0.85
# Shorter than the service's keep-alive, so that it does not close a connection under a request.
MAX_IDLE_S = 2.0


class Sender:
    """Sends while the block of `sending` runs; each message has a unique mark.

    Args:
        port: of 127.0.0.1, where the service listens.
        path: of the callback.
        rate: messages a second.
        rng: the source of its random choices.
        window_s: the service's de-duplication window.
    """

    def __init__(self, port: int, path: str, rate: float, rng: Random, window_s: float) -> None:
        self._connections = _Connections(port)
        self._path = path
        self._rate = rate
        self._rng = rng
        self._window_s = window_s
        self._number = 0

    @contextmanager
    def sending(self, ledger: Ledger) -> Iterator[None]:
        """Sends until the block ends; returns after the last attempt of every message."""
        stop = threading.Event()
        with ThreadPoolExecutor(MAX_CONCURRENT) as pool, ThreadPoolExecutor(1) as pacer:
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
            message = ledger.send(mark, content)
            copies = 2 if self._rng.randrange(CONCURRENT_DUPLICATE_ONE_IN) == 0 else 1
            deliveries += [pool.submit(self._deliver, message) for _ in range(copies)]
        return deliveries

    def _next_message(self) -> tuple[str, dict[str, Any]]:
        """A sample without its credentials, made different from every other message."""
        self._number += 1
        mark = f"m-{self._number}"
        sample = json.loads(json.dumps(self._rng.choice(SAMPLES)))
        content = {name: value for name, value in sample.items() if name not in LOGIN}
        # The service knows no such member at the top level; as upgradeId it chooses the partition.
        content["mark"] = mark
        # Some variants differ only in how they encode such characters.
        content["note"] = "Zürich\nBern"
        for part in content.values():
            if isinstance(part, dict) and "upgradeId" in part:
                part["upgradeId"] = mark
        return mark, content

    def _deliver(self, message: SentMessage) -> None:
        content, began = {**message.content, **LOGIN}, time.monotonic()
        for number, pause_s in enumerate((0.0, self._rng.uniform(*RETRY_S)), start=1):
            time.sleep(pause_s)
            made = self._connections.attempt(self._path, choose(content, number, self._rng))
            message.attempts.append(made)
            if made.acknowledged:
                break
        if made.acknowledged and self._rng.randrange(LATE_DUPLICATE_ONE_IN) == 0:
            self._deliver_late(message, content, began)

    def _deliver_late(self, message: SentMessage, content: Mapping[str, Any], began: float) -> None:
        """Sends an acknowledged message again, within the window since its first attempt."""
        due = began + self._rng.uniform(0.2, LATEST_SHARE_OF_WINDOW) * self._window_s
        time.sleep(max(0.0, due - time.monotonic()))
        if time.monotonic() < began + LATEST_SHARE_OF_WINDOW * self._window_s + 0.1:
            made = self._connections.attempt(self._path, choose(content, 3, self._rng))
            message.attempts.append(replace(made, is_late=True))


def attempt(connection: http.client.HTTPConnection, path: str, variant: Variant) -> Attempt:
    """Sends one request; the connection is closed if there was no response."""
    started = time.monotonic()
    try:
        connection.request("POST", path, variant.body, {"Content-Type": variant.content_type})
        response = connection.getresponse()
        response.read()
        status: int | None = response.status
    except (OSError, http.client.HTTPException):
        connection.close()
        status = None
    return Attempt(started, time.monotonic() - started, status)


class _Connections:
    """A pool of kept-alive connections, the last used first."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[float, http.client.HTTPConnection]] = []
        self._lock = threading.Lock()

    def attempt(self, path: str, variant: Variant) -> Attempt:
        connection = self._acquire()
        made = attempt(connection, path, variant)
        if made.status is not None:
            with self._lock:
                self._idle.append((time.monotonic(), connection))
        return made

    def close(self) -> None:
        for _, connection in self._idle:
            connection.close()

    def _acquire(self) -> http.client.HTTPConnection:
        while True:
            with self._lock:
                if not self._idle:
                    return http.client.HTTPConnection(HOST, self._port, timeout=TIMEOUT_S)
                since, connection = self._idle.pop()
            if time.monotonic() - since < MAX_IDLE_S and _is_usable(connection):
                return connection
            connection.close()


def _is_usable(connection: http.client.HTTPConnection) -> bool:
    """Whether the server has neither closed the connection nor sent anything unasked."""
    if connection.sock is None:
        # The last response asked to close the connection: the next request opens it again.
        return True
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return not poll.poll(0)
