"""A steady load on the queue, and a ledger to compare Redis with afterwards."""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Self

from listener.errors import QueueUnavailableError
from listener.messages.message import Message
from listener.queue.queue import DurableQueue
from listener.redis_client.client import connect
from listener.settings.secret import Secret
from listener.settings.settings import Settings

NOW = datetime(2026, 11, 23, tzinfo=UTC)
PAUSE_S = 0.004
BUDGET_MS = 500


def message(number: int) -> Message:
    """One of its own upgrade, so that all partitions get some."""
    payload = {"type": "upgradeProgress", "upgradeProgress": {"upgradeId": f"u-{number}"}}
    return Message.from_payload(payload, arrived=NOW, request_id="r")


def settings(url: str, **environ: str) -> Settings:
    defaults = {"ALLOW_ANY_SENDER": "true", "SPOOL_DIR": "", "ACK_BUDGET_MS": str(BUDGET_MS)}
    return Settings.from_env({"REDIS_URL": url, **defaults, **environ})


@contextmanager
def keeping(url: str, **environ: str) -> Iterator[DurableQueue]:
    """The queue as a worker has it."""
    keeper = DurableQueue(settings(url, **environ))
    keeper.start()
    try:
        yield keeper
    finally:
        keeper.close()


class Load:
    """Four threads that put one message after the other while the block runs."""

    def __init__(self, keeper: DurableQueue) -> None:
        self.acknowledged: list[str] = []
        self.refused = 0
        self.slowest_s = 0.0
        self._keeper = keeper
        self._numbers = itertools.count()
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(4)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(PAUSE_S):
            began = time.monotonic()
            sent = message(next(self._numbers))
            try:
                self._keeper.put(sent)
                self.acknowledged.append(sent.id)
            except QueueUnavailableError:
                self.refused += 1
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)


def kept(url: str, partitions: int = 1) -> Counter[str]:
    """How often each message is in Redis, by its fingerprint."""
    with connect(Secret(url), timeout_s=10, name="tests", decode_responses=True) as client:
        found: list[Any] = [
            fields["id"]
            for number in range(partitions)
            for _, fields in client.xrange(f"{{fota:{number}}}:messages")
        ]
    return Counter(found)
