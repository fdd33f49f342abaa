"""Sends messages at a steady rate, whatever becomes of the ones before, as ThingSpace does."""

import http.client
import json
import random
import select
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.chaos.forms import Form, choose
from bench.chaos.ledger import Attempt, Ledger, Sent

SAMPLES = [
    json.loads(sample.read_text())
    for sample in sorted((Path(__file__).parents[2] / "tests" / "data" / "messages").glob("*.json"))
]
LOGIN = {"username": "listener", "password": "correct-horse-battery"}
# Enough for a few seconds without an answer at the highest rate.
MOST_AT_ONCE = 1000
TIMEOUT_S = 10.0
# As has been seen of the provider: one more attempt after this long, and then no more.
RETRY_S = (1.2, 1.7)
# The provider promises nothing about duplicates: of so many messages one is sent twice at once.
ONE_TWICE_IN = 20
# Of so many messages one is sent once more, late: at any time until near the end of the window within
# which the service must know it again, often after the fault.
ONE_LATE_IN = 8
LATEST = 0.85
# Less than the service keeps an idle connection, so that it is not closed under a request.
IDLE_S = 2.0


class Sender:
    """Sends while the block of `sending` runs; each message bears a mark of its own.

    Args:
        port: of 127.0.0.1, where the service listens.
        path: of the callback.
        rate: messages a second.
        chance: where its random choices come from.
        window_s: the service's de-duplication window.
    """

    def __init__(
        self, port: int, path: str, rate: float, chance: random.Random, window_s: float
    ) -> None:
        self._connections = Connections(port)
        self._path = path
        self._rate = rate
        self._chance = chance
        self._window_s = window_s
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
            times = 2 if self._chance.randrange(ONE_TWICE_IN) == 0 else 1
            deliveries += [pool.submit(self._deliver, sent) for _ in range(times)]
        return deliveries

    def _next_message(self) -> tuple[str, dict[str, Any]]:
        """A sample, less its credentials, made unlike every other message."""
        self._number += 1
        mark = f"m-{self._number}"
        sample = json.loads(json.dumps(self._chance.choice(SAMPLES)))
        content = {name: value for name, value in sample.items() if name not in LOGIN}
        # At the top it is no member that the service knows; in its place it chooses the partition.
        content["mark"] = mark
        # Some forms differ only in how they write such characters.
        content["note"] = "Zürich\nBern"
        for part in content.values():
            if isinstance(part, dict) and "upgradeId" in part:
                part["upgradeId"] = mark
        return mark, content

    def _deliver(self, sent: Sent) -> None:
        message, began = {**sent.content, **LOGIN}, time.monotonic()
        for number, pause_s in enumerate((0.0, self._chance.uniform(*RETRY_S)), start=1):
            time.sleep(pause_s)
            attempt = self._attempt(choose(message, number, self._chance))
            sent.attempts.append(attempt)
            if attempt.acknowledged:
                break
        if attempt.acknowledged and self._chance.randrange(ONE_LATE_IN) == 0:
            self._deliver_late(sent, message, began)

    def _deliver_late(self, sent: Sent, message: Mapping[str, Any], began: float) -> None:
        """Sends an acknowledged message again, within the window since the first attempt began."""
        due = began + self._chance.uniform(0.2, LATEST) * self._window_s
        time.sleep(max(0.0, due - time.monotonic()))
        if time.monotonic() < began + LATEST * self._window_s + 0.1:
            attempt = self._attempt(choose(message, 3, self._chance))
            sent.attempts.append(replace(attempt, is_late=True))

    def _attempt(self, form: Form) -> Attempt:
        started = time.monotonic()
        status = self._connections.post(self._path, form)
        return Attempt(started, time.monotonic() - started, status)


class Connections:
    """Connections that are kept alive between requests, the one used last first."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[float, http.client.HTTPConnection]] = []
        self._lock = threading.Lock()

    def post(self, path: str, form: Form) -> int | None:
        """Sends a request; the status of its answer, or None if none came."""
        connection = self._take()
        try:
            connection.request("POST", path, form.body, {"Content-Type": form.content_type})
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
