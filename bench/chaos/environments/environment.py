"""The real processes that suffer: gunicorn with its workers, and the Redis behind it."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import requests

from bench.chaos.ledger import Attempt, Ledger
from bench.chaos.sender import LOGIN
from testbed.polling import wait_until
from testbed.process import ROOT
from testbed.service import RECEIVER, Service

TOKEN = "token-of-the-chaos"
PATH = f"/cb/{TOKEN}"
WINDOW_S = 8
SETTINGS = {
    "CALLBACK_TOKEN": TOKEN,
    "CALLBACK_USERNAME": LOGIN["username"],
    "CALLBACK_PASSWORD": LOGIN["password"],
    "LOG_LEVEL": "warning",
    "LOG_FORMAT": "text",
    # Short, so that late duplicates can come near its end.
    "DEDUPE_WINDOW_S": str(WINDOW_S),
}
PAGE = 1000


class World:
    """One service, and the Redis behind it: what faults strike, and where messages are looked for.

    Args:
        settings: of the service, besides those that every world has.
        partitions: how many streams there are.
    """

    def __init__(self, settings: Mapping[str, str], *, partitions: int = 1) -> None:
        self.partitions = partitions
        self.service = Service(
            *RECEIVER, **{**SETTINGS, "QUEUE_PARTITIONS": str(partitions), **settings}
        )
        self._orphans: list[psutil.Process] = []
        # What strikes send themselves is noted there as well.
        self.ledger = Ledger()

    def client(self) -> Any:
        """A client that reads the streams; the caller closes it."""
        raise NotImplementedError

    @contextmanager
    def running(self) -> Iterator[None]:
        """Runs the service while the block runs, and leaves none of its processes."""
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
            # Until they are gone they hold their files, and the disk that those lie on.
            wait_until(lambda: not any(map(_runs, self._orphans)))

    def workers(self) -> list[psutil.Process]:
        """gunicorn's, the master not among them."""
        return self.service.family()[1:]

    def kill_worker(self, worker: psutil.Process) -> None:
        """SIGKILL; gunicorn replaces it."""
        _kill(worker)

    def kill_master(self) -> None:
        """SIGKILL; its workers notice by themselves, and end after the requests they are at."""
        self._orphans += self.workers()
        self.service.signal(signal.SIGKILL)
        self.service.wait()

    def start_service(self) -> None:
        """Starts it again, as a supervisor would; returns once it alone answers."""
        self.service.start()
        wait_until(lambda: not any(map(_runs, self._orphans)), self.service.log)
        self.wait_for_workers()
        self.service.wait_until_ready()

    def wait_for_workers(self) -> None:
        """Returns once there are as many as there should be."""
        count = int(self.service.settings["WEB_CONCURRENCY"])
        wait_until(lambda: len(self.workers()) == count, self.service.log)

    def spooled(self) -> int:
        """How many messages wait in the journal, by a look at its file."""
        return self._count("message")

    def set_aside(self) -> int:
        """How many messages in the journal are set aside."""
        return self._count("set_aside")

    def _count(self, table: str) -> int:
        journal = Path(self.service.settings["SPOOL_DIR"], "spool.db")
        if not journal.exists():
            return 0
        with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as opened:
            tables = {name for (name,) in opened.execute("SELECT name FROM sqlite_master")}
            if table not in tables:
                return 0
            return int(opened.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    def send(self, mark: str, **members: Any) -> None:
        """Sends a message that a fault needs, once; it counts as any other."""
        content = {"type": "upgradeFinished", "mark": mark, **members}
        sent, began = self.ledger.send(mark, content), time.monotonic()
        try:
            status: int | None = self.service.post(
                json.dumps({**content, **LOGIN}), PATH
            ).status_code
        except requests.RequestException:
            status = None
        sent.attempts.append(Attempt(began, time.monotonic() - began, status))

    def command(self, *words: str) -> None:
        """Runs a command of the operator's, with the service's settings."""
        command = [sys.executable, "-m", "listener", *words]
        subprocess.run(
            command, cwd=ROOT, env=self.service.settings, check=True, capture_output=True
        )

    def entries(self, since: dict[str, str]) -> Iterator[dict[str, str]]:
        """The fields of the streams' entries; `since` is moved on to the last one of each."""
        with closing(self.client()) as client:
            for number in range(self.partitions):
                name = stream(number)
                while page := client.xrange(name, f"({since.get(name, '0-0')}", count=PAGE):
                    since[name] = page[-1][0]
                    yield from (fields for _, fields in page)


def stream(partition: int) -> str:
    """The key of a partition's messages."""
    return f"{{fota:{partition}}}:messages"


def _runs(process: psutil.Process) -> bool:
    try:
        # Who is nobody's child any more may stay a zombie where process 1 does not reap.
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        # It ended by itself.
        pass
