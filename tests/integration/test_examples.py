"""The examples in docs/examples, as processes, on a Redis of their own: nothing is lost by a crash.

The entries are the receiver's own: its writer puts them there.
"""

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis

from listener import messages
from listener.queue.writer import RedisWriter
from listener.settings import Settings
from sandbox import embedded_redis
from tests.service_process import free_port, wait_until
from tests.tools import needed

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
NODE_MODULES = EXAMPLES / "node" / "node_modules"
GROUP = "billing"
# What a pipe holds at least, and what `held` makes this one hold at most.
PAGE = 4096


def python(script: str) -> list[str]:
    return [sys.executable, str(EXAMPLES / script)]


def node() -> list[str]:
    command = [needed("node"), str(EXAMPLES / "node" / "consumer.mjs")]
    if not NODE_MODULES.exists():
        reason = "the Node.js example's package is not installed: bin/setup does that with npm"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return command


def bash() -> list[str]:
    needed("redis-cli")
    return [needed("bash"), str(EXAMPLES / "redis_cli.sh")]


# Each with the number of partitions that one process of it reads.
CONSUMERS: dict[str, tuple[Callable[[], list[str]], int]] = {
    "python_library": (lambda: python("python_library.py"), 2),
    "plain_redis": (lambda: python("plain_redis.py"), 2),
    "node": (node, 2),
    "redis_cli": (bash, 1),
    "faststream": (lambda: python("faststream_consumer.py"), 1),
}


class Server:
    """A Redis server with an append-only file, which can be started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self._process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        words = embedded_redis.arguments(self._folder, port=self._port)
        return embedded_redis.start(words, self._folder, ("127.0.0.1", self._port))

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()

    def restart(self) -> None:
        self.stop()
        self._process = self._start()


class Example:
    """An example's process, and what it printed."""

    def __init__(self, command: list[str], folder: Path, **settings: str) -> None:
        self._command = command
        self._log = folder / "example.log"
        self._settings = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "GROUP": GROUP,
            "TAKE_OVER_AFTER_MS": "500",
            "HANDLED": str(folder / "handled.sqlite3"),
            **settings,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, stdout: Any = None) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, env=self._settings, stdout=stdout or log, stderr=log
            )

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()

    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def handled(self) -> list[str]:
        """The ids that it printed, one for each message handled."""
        return [
            line.split()[0]
            for line in self.log().splitlines()
            if " members" in line or " characters" in line
        ]


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fota-") as name:
        yield Path(name)


@pytest.fixture
def server(redis_server: str, folder: Path) -> Iterator[Server]:
    """A server of the test's own; `redis_server` is there for its skip where no Redis is."""
    running = Server(folder)
    yield running
    running.stop()


class Queue:
    """What the receiver does to the queue, and what its operator sees there."""

    def __init__(self, url: str, partitions: int) -> None:
        environ = {"REDIS_URL": url, "ALLOW_ANY_SENDER": "true"}
        self._settings = Settings.from_env({**environ, "QUEUE_PARTITIONS": str(partitions)})
        self.client: Any = redis.Redis.from_url(url, decode_responses=True)
        self.streams = [f"{{fota:{n}}}:messages" for n in range(partitions)]
        self.ids: set[str] = set()

    def put(self, first: int, count: int) -> None:
        writer = RedisWriter(self._settings)
        for number in range(first, first + count):
            # What a shell or a careless parser would stumble over is in it.
            container = {"upgradeId": f"u-{number}", "reason": 'it\'s "50 %"\\n\n\t\u00e9 $(x) `y`'}
            payload = {"type": "upgradeFinished", "upgradeFinished": container}
            message = messages.validate(payload, arrived=datetime.now(UTC), request_id="r 'q' \\")
            writer.put(message)
            self.ids.add(message.id)
        writer.close()

    def put_again(self) -> None:
        """The first entry once more, as after the window for duplicates."""
        [(_, fields)] = self.client.xrange(self.streams[0], count=1)
        self.client.xadd(self.streams[0], fields)

    def pending(self) -> int:
        return sum(group["pending"] for group in self._groups())

    def all_read_and_acknowledged(self) -> bool:
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


@pytest.mark.parametrize("name", CONSUMERS)
def test_an_example_handles_everything_in_spite_of_its_crash_and_a_restart_of_redis(
    name: str, server: Server, folder: Path
) -> None:
    command, partitions = CONSUMERS[name]
    queue = Queue(server.url, partitions)
    # The group does not exist yet, and must begin with what is there.
    queue.put(0, 15)
    example = Example(
        command(), folder, REDIS_URL=server.url, QUEUE_PARTITIONS=str(partitions), CONSUMER="one"
    )
    try:
        kill_while_it_handles(example, queue)
        example.start()
        wait_until(lambda: set(example.handled()) == queue.ids, example.log)
        wait_until(queue.all_read_and_acknowledged, example.log)

        server.restart()
        queue.put(15, 5)
        wait_until(lambda: set(example.handled()) == queue.ids, example.log)
        wait_until(queue.all_read_and_acknowledged, example.log)
        # At least once; but what was handled long ago is not handled for a second entry.
        before = example.handled()
        queue.put_again()
        wait_until(queue.all_read_and_acknowledged, example.log)
        assert example.handled() == before

        assert example.process is not None
        example.process.send_signal(signal.SIGTERM)
        assert example.process.wait(20) == 0, example.log()
    finally:
        example.kill()


def kill_while_it_handles(example: Example, queue: Queue) -> None:
    """With SIGKILL, while it prints its first message: it has read some, acknowledged none."""
    out, into = full_pipe()
    try:
        example.start(stdout=into)
        wait_until(lambda: queue.pending() > 0, example.log)
        example.kill()
    finally:
        os.close(out)
        os.close(into)
    assert queue.pending() > 0


def test_what_plain_redis_cannot_handle_goes_to_the_dead_stream_as_the_contract_says(
    server: Server, folder: Path
) -> None:
    queue = Queue(server.url, 1)
    queue.put(0, 1)
    broken = {"id": "b" * 32, "kind": "unknown", "data": "no JSON", "subject": "é"}
    [stream] = queue.streams
    entry = queue.client.xadd(stream, broken)
    queue.put(1, 1)
    example = Example(
        python("plain_redis.py"),
        folder,
        REDIS_URL=server.url,
        CONSUMER="one",
        TAKE_OVER_AFTER_MS="50",
        MAX_DELIVERIES="2",
    )
    try:
        example.start()
        wait_until(lambda: queue.client.xlen("{fota:0}:dead:billing"), example.log)
        wait_until(queue.all_read_and_acknowledged, example.log)
    finally:
        example.kill()
    assert set(example.handled()) == queue.ids
    [(_, dead)] = queue.client.xrange("{fota:0}:dead:billing")
    assert {name: dead.pop(name) for name in broken} == broken
    assert "JSONDecodeError" in dead.pop("traceback")
    assert "JSONDecodeError" in dead.pop("error")
    failed = datetime.fromisoformat(dead.pop("failed"))
    assert failed.utcoffset() is not None
    assert dead == {
        "reason": "handler-failed",
        "deliveries": "2",
        "entry": entry,
        "consumer": "one",
    }
