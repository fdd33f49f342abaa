"""The memory that Redis takes for a message `upgrade-finished`: entry, fingerprint and Redis's own bookkeeping."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from bench.load import messages
from bench.rig import store
from listener.messages.message import Message
from listener.messages.payload import parse
from listener.queue.writer import RedisWriter
from listener.settings.settings import Settings

KIND = "upgrade-finished"
COUNTS = (10_000, 100_000, 1_000_000)
MAX_BYTES = 740
# Connections, scripts and the first table of keys take their memory once, and not for each message.
WARM_UP = 512
GROUP = 256


def run(counts: Sequence[int], report: Callable[[str], None]) -> list[dict[str, float]]:
    """Measures bytes of `used_memory` for each message, by the number of messages in the queue.

    All come within one de-duplication window, through the service's own writer, into one partition.

    Args:
        counts: after how many messages to look.
        report: prints a line of progress.

    Returns:
        For each count: `messages` and `bytes`, of each message.
    """
    figures: list[dict[str, float]] = []
    with store.running("everysec") as queue, closing(_writer(queue.url)) as writer:
        made = _messages()
        _write(writer, made, WARM_UP)
        before, written = _used(queue), 0
        for count in sorted(counts):
            _write(writer, made, count - written)
            written = count
            each = (_used(queue) - before) / count
            report(f"memory: {each:.0f} bytes for each of {count:,} messages")
            figures.append({"messages": count, "bytes": each})
    return figures


def _writer(url: str) -> RedisWriter:
    return RedisWriter(Settings.from_env({"REDIS_URL": url, "ALLOW_ANY_SENDER": "true"}))


def _messages() -> Iterator[Message]:
    template = messages.sample_templates()[messages.KINDS.index(KIND)]
    for number in range(messages.RANGE):
        payload = parse(messages.body([template], number))
        request_id = os.urandom(16).hex()
        yield Message.from_payload(payload, arrived=datetime.now(UTC), request_id=request_id)


def _write(writer: RedisWriter, made: Iterator[Message], count: int) -> None:
    for first in range(0, count, GROUP):
        writer.put_all(0, [next(made) for _ in range(min(GROUP, count - first))])


def _used(queue: store.Store) -> int:
    info: Any = queue.client.info("memory")
    return int(info["used_memory"])
