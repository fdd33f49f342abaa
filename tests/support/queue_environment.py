"""The durable queue with a folder for its Redis server and its spool, for the integration tests."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import redis

from listener.messages.message import Message
from listener.messages.payload import parse
from listener.queue.queue import DurableQueue
from listener.settings.settings import Settings
from listener.spool.spool import Spool
from testbed.redis_servers import redis_process

NOW = datetime(2026, 11, 23, tzinfo=UTC)
MAX_SPOOL_BYTES = 2**30


def message(number: int, size: int = 0, **more: str) -> Message:
    payload = {"type": "new", "n": number, "padding": "x" * size, **more}
    return Message.from_payload(payload, arrived=NOW, request_id="r")


class QueueEnvironment:
    """A folder for a Redis server that comes and goes, and for a spool.

    Args:
        folder: for both; its path must be short enough for a Unix socket.
        url: the Redis of the queue, where it is not the server itself.
    """

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self.folder = folder
        self.server_url = f"unix://{folder}/{redis_process.SOCKET}"
        self.url = url or self.server_url

    def server(self, **options: str) -> Any:
        return redis_process.running(self.folder, options=options)

    def settings(self, **environ: str) -> Settings:
        defaults = {
            "REDIS_URL": self.url,
            "ALLOW_ANY_SENDER": "true",
            "SPOOL_DIR": f"{self.folder}/spool",
            # Enough for a busy machine with a slow disk: few tests have to wait for its end.
            "ACK_BUDGET_MS": "2000",
        }
        return Settings.from_env({**defaults, **environ})

    @contextmanager
    def queue(self, **environ: str) -> Iterator[DurableQueue]:
        """A queue that runs during the block; `environ` are settings of its own."""
        queue = DurableQueue(self.settings(**environ))
        queue.start()
        try:
            # A busy machine's disk may take longer than a message's answer. What a slow disk does is for test_slow_disk.py.
            with patch.multiple("listener.queue.queue", SPOOL_BUDGET_S=10.0, SPOOL_ALONE_S=10.0):
                yield queue
        finally:
            queue.close()

    def stream(self, partition: int = 0) -> list[int]:
        """The numbers of the messages in a stream, in its order."""
        with redis.Redis.from_url(self.server_url, decode_responses=True) as client:
            entries: Any = client.xrange(f"{{fota:{partition}}}:messages")
        return [parse(fields["data"].encode())["n"] for _, fields in entries]

    def spool(self, *messages: Message) -> None:
        """Puts messages into the spool, as a process did that is gone."""
        with closing(Spool(self.folder / "spool", MAX_SPOOL_BYTES)) as spool:
            for each in messages:
                spool.put(each, 10)

    def spooled(self) -> int:
        """How many messages the spool holds, as far as ten thousand."""
        with closing(Spool(self.folder / "spool", MAX_SPOOL_BYTES)) as spool:
            return len(spool.oldest(10_000))
