"""Runs an example consumer as a process, on a Redis of its own that can be started again."""

import fcntl
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import redis

from listener.messages.message import Message
from listener.queue.writer import RedisWriter
from listener.settings.settings import Settings
from testbed.process import ROOT, ChildProcess
from testbed.redis_servers.redis_nodes import Node

GROUP = "billing"
PASSWORD = "password-of-the-tests"
# What a pipe holds at least, and what `full_pipe` makes this one hold at most.
PAGE = 4096


class Server(Node):
    """A Redis server with an append-only file, which can be started again.

    Args:
        folder: for its files.
        rights: of the user `billing` besides the default one, as ACL SETUSER takes them.
    """

    def __init__(self, folder: Path, rights: str) -> None:
        users = folder / "users.acl"
        users.write_text(f"user default on nopass ~* &* +@all\nuser {GROUP} {rights}\n")
        super().__init__(folder, {"aclfile": str(users)})
        self.url = f"redis://{self.address}/0"
        self.consumers_url = f"redis://{GROUP}:{PASSWORD}@{self.address}/0"

    def restart(self) -> None:
        self.kill()
        self.start()


class Example(ChildProcess):
    """An example's process, and what it printed. As a context manager it does not start by itself."""

    def __init__(self, command: list[str], folder: Path, **settings: str) -> None:
        environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "GROUP": GROUP,
            "TAKE_OVER_AFTER_MS": "500",
            "HANDLED": str(folder / "handled.sqlite3"),
            **settings,
        }
        super().__init__(*command, environ=environ)

    def __enter__(self) -> Self:
        return self

    def handled(self) -> list[str]:
        """The ids that it printed, one for each message handled."""
        return [
            line.split()[0]
            for line in self.log().splitlines()
            if " members" in line or " characters" in line
        ]


class Queue:
    """What the receiver does to the queue, and what its operator sees there."""

    def __init__(self, url: str, partitions: int) -> None:
        environ = {"REDIS_URL": url, "ALLOW_ANY_SENDER": "true"}
        self._settings = Settings.from_env({**environ, "QUEUE_PARTITIONS": str(partitions)})
        self.client: Any = redis.Redis.from_url(url, decode_responses=True)
        self.streams = [f"{{fota:{n}}}:messages" for n in range(partitions)]
        self.ids: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def put(self, count: int) -> None:
        """So many new messages."""
        first = len(self.ids)
        writer = RedisWriter(self._settings)
        for number in range(first, first + count):
            # What a shell or a careless parser would stumble over is in it.
            container = {"upgradeId": f"u-{number}", "reason": 'it\'s "50 %"\\n\n\t\u00e9 $(x) `y`'}
            payload = {"type": "upgradeFinished", "upgradeFinished": container}
            message = Message.from_payload(
                payload, arrived=datetime.now(UTC), request_id="r 'q' \\"
            )
            writer.put(message)
            self.ids.add(message.id)
        writer.close()

    def put_again(self) -> None:
        """The first entry once more, as after the window for duplicates."""
        [(_, fields)] = self.client.xrange(self.streams[0], count=1)
        self.client.xadd(self.streams[0], fields)

    def delete(self) -> None:
        """The streams, and the groups with them."""
        self.client.delete(*self.streams)

    def pending(self) -> int:
        return sum(group["pending"] for group in self._groups())

    def all_read_and_acknowledged(self) -> bool:
        if self.client.exists(*self.streams) < len(self.streams):
            # Deleted, and not made again yet.
            return False
        groups = self._groups()
        newest = [self.client.xinfo_stream(stream)["last-generated-id"] for stream in self.streams]
        read = [group["last-delivered-id"] for group in groups]
        return self.pending() == 0 and read == newest

    def _groups(self) -> list[dict[str, Any]]:
        """The example's group in each partition."""
        found = []
        for stream in self.streams:
            if self.client.exists(stream):
                found += self.client.xinfo_groups(stream)
        return found


def full_pipe() -> tuple[int, int]:
    """Its two ends. Who writes a line to it is held there."""
    out, into = os.pipe()
    size = fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, PAGE)
    os.write(into, b"." * size)
    return out, into
