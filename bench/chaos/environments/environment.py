"""The service under test with its Redis: starts and kills its processes, reads what they stored."""

import json
import signal
import sqlite3
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil

from bench.chaos.ledger import Ledger
from bench.chaos.sender import TIMEOUT_S, attempt
from bench.chaos.variants import Variant
from bench.load.messages import LOGIN
from bench.rig.store import stream_key
from testbed.polling import wait_until
from testbed.ports import HOST
from testbed.process import ROOT
from testbed.service import RECEIVER, Service

TOKEN = "token-of-the-chaos-tests"
PATH = f"/cb/{TOKEN}"
WINDOW_S = 8
SETTINGS = {
    "CALLBACK_TOKEN": TOKEN,
    "CALLBACK_USERNAME": LOGIN["username"],
    "CALLBACK_PASSWORD": LOGIN["password"],
    "LOG_LEVEL": "warning",
    "LOG_FORMAT": "text",
    # Short, so that late duplicates can arrive near the end of the window.
    "DEDUPE_WINDOW_S": str(WINDOW_S),
}
PAGE = 1000


class Environment(ABC):
    """One service and the Redis behind it.

    Args:
        settings: of the service, in addition to `SETTINGS`.
        partitions: the number of streams.
    """

    def __init__(self, settings: Mapping[str, str], *, partitions: int = 1) -> None:
        self.partitions = partitions
        self.service = Service(
            *RECEIVER, **{**SETTINGS, "QUEUE_PARTITIONS": str(partitions), **settings}
        )
        self._orphans: list[psutil.Process] = []
        # The runner sets a new one for each round; a fault adds the messages that it sends itself.
        self.ledger = Ledger()

    @abstractmethod
    def client(self) -> Any:
        """A client that reads the streams; the caller closes it."""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Runs the service for the duration of the block and leaves no process behind."""
        try:
            with self.service:
                self.service.wait_until_ready()
                try:
                    yield
                finally:
                    self._orphans += self.service.family()
        finally:
            for process in self._orphans:
                _kill(process)
            # Until they end they keep files open, and so the disk busy that the files are on.
            self._wait_for_orphans()

    def workers(self) -> list[psutil.Process]:
        """Gunicorn's workers, without the master."""
        return self.service.family()[1:]

    def kill_worker(self, worker: psutil.Process) -> None:
        """Sends SIGKILL; gunicorn replaces the worker."""
        _kill(worker)

    def kill_master(self) -> None:
        """Sends SIGKILL; the workers notice and exit after their current requests."""
        self._orphans += self.workers()
        self.service.signal(signal.SIGKILL)
        self.service.wait()

    def start_service(self) -> None:
        """Starts the service again, as a supervisor would; returns once only the new one answers."""
        self.service.start()
        self._wait_for_orphans()
        self.wait_for_workers()
        self.service.wait_until_ready()

    def wait_for_workers(self) -> None:
        """Returns once all workers run."""
        count = int(self.service.settings["WEB_CONCURRENCY"])
        wait_until(lambda: len(self.workers()) == count, self.service.log)

    def spooled(self) -> int:
        """The number of messages that wait in the journal, read from its file."""
        return self._count("message")

    def set_aside(self) -> int:
        """The number of messages in the journal that are set aside."""
        return self._count("set_aside")

    @property
    def journal(self) -> Path:
        """The spool's SQLite file; it need not exist."""
        return Path(self.service.settings["SPOOL_DIR"], "spool.db")

    def send(self, mark: str, connection: HTTPConnection | None = None, **members: Any) -> None:
        """Sends one message, once, for a fault; it is checked like the sender's.

        Args:
            mark: identifies the message.
            connection: to use and to close, instead of a new one.
            members: more of the message.
        """
        content = {"type": "upgradeFinished", "mark": mark, **members}
        message = self.ledger.send(mark, content)
        body = Variant(json.dumps({**content, **LOGIN}).encode())
        address = (HOST, self.service.port)
        with closing(connection or HTTPConnection(*address, timeout=TIMEOUT_S)) as own:
            message.attempts.append(attempt(own, PATH, body))

    def command(self, *words: str) -> None:
        """Runs one of the operator's commands with the service's settings."""
        command = [sys.executable, "-m", "listener", *words]
        subprocess.run(
            command, cwd=ROOT, env=self.service.settings, check=True, capture_output=True
        )

    def entries(self, since: dict[str, str]) -> Iterator[dict[str, str]]:
        """The fields of all entries after the ids in `since`, which is updated for each stream."""
        with closing(self.client()) as client:
            for number in range(self.partitions):
                key = stream_key(number)
                while page := client.xrange(key, f"({since.get(key, '0-0')}", count=PAGE):
                    since[key] = page[-1][0]
                    yield from (fields for _, fields in page)

    def _count(self, table: str) -> int:
        if not self.journal.exists():
            return 0
        with closing(sqlite3.connect(f"file:{self.journal}?mode=ro", uri=True)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            if table not in tables:
                return 0
            return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    def _wait_for_orphans(self) -> None:
        wait_until(lambda: not any(map(_is_running, self._orphans)), self.service.log)


# Takes a folder, and settings of the service for one Redis; an environment with several has its own.
Factory = Callable[[Path, Mapping[str, str]], AbstractContextManager[Environment]]


def _is_running(process: psutil.Process) -> bool:
    try:
        # An orphan stays a zombie where process 1 does not reap.
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        # It exited by itself.
        pass
