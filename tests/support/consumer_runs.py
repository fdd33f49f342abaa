"""Consumers that run in threads of the test, on a real Redis."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from listener.consumer import Backoff, Consumer
from testbed.polling import wait_until

GROUP = "g"
QUICK: dict[str, Any] = {
    "backoff": Backoff(base_s=0.01, cap_s=0.02, jitter=0),
    "block_s": 0.05,
    "takeover_idle_s": 0.3,
    "shutdown_s": 5.0,
}


def consumer(url: str, handler: Callable[[Any], object] | None = None, **options: Any) -> Consumer:
    """One that waits for nothing long; its handler is for every kind."""
    made = Consumer(url, group=GROUP, **{**QUICK, **options})
    if handler:
        made.on()(handler)
    return made


@contextmanager
def running(*consumers: Consumer) -> Iterator[None]:
    """They run while the block runs, and have returned when it ends."""
    threads = [threading.Thread(target=each.run, daemon=True) for each in consumers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for each, thread in zip(consumers, threads, strict=True):
            stopped(each, thread)


def stopped(each: Consumer, thread: threading.Thread) -> None:
    if thread.is_alive():
        each.stop()
    wait_until(lambda: not thread.is_alive(), lambda: f"{each.group} has not returned")


def number_of(message: Any) -> int:
    """The number that the feed gave it."""
    return int(message.reason)


def pending(client: Any, stream: str = "{fota:0}:messages") -> int:
    """How many entries are pending for the group; -1: there is no group yet."""
    groups = client.xinfo_groups(stream) if client.exists(stream) else []
    return next((row["pending"] for row in groups if row["name"] == GROUP), -1)


def is_done(client: Any, stream: str = "{fota:0}:messages") -> bool:
    """Whether the group has read and acknowledged everything."""
    last = client.xinfo_stream(stream)["last-generated-id"]
    rows = client.xinfo_groups(stream)
    return any(r["pending"] == 0 and r["last-delivered-id"] == last for r in rows)
