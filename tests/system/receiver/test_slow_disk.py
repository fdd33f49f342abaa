"""While Redis is away, the spool's disk is slow, hangs, or is held: answers come in time all the same."""

import json
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest
import requests

from testbed.polling import wait_until
from testbed.process import ROOT
from testbed.service import RECEIVER, Service
from testbed.slow_disk import SlowDisk

IN_TIME_S = 2.0
# A third of what the service is given to answer a question that needs no disk at all.
SOON_S = 0.5
NO_REDIS = "redis://127.0.0.1:1"


class Bench:
    """A service without Redis, and the disk of its spool."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.disk = SlowDisk(folder)
        self.folder = folder
        self._settings = settings

    @contextmanager
    def running(self) -> Iterator[Service]:
        settings = {
            "REDIS_URL": NO_REDIS,
            "SPOOL_DIR": str(self.folder),
            "ALLOW_ANY_SENDER": "true",
            **self._settings,
        }
        with self.disk, Service(*RECEIVER, **self.disk.environ, **settings) as service:
            service.wait_until_ready()
            count = int(service.settings["WEB_CONCURRENCY"])
            wait_until(lambda: len(service.family()) == 1 + count, service.log)
            yield service

    def kept(self) -> Counter[str]:
        """How often each message is in the journal."""
        with closing(sqlite3.connect(f"file:{self.folder}/spool.db?mode=ro", uri=True)) as journal:
            texts = [text for (text,) in journal.execute("SELECT message FROM message")]
        return Counter(json.loads(json.loads(text)["data"])["n"] for text in texts)


class Senders:
    """Each on a connection of its own, with a message of its own each time."""

    def __init__(self, service: Service, count: int) -> None:
        self._service = service
        self._count = count
        self.took_s: list[float] = []
        self.answers: dict[str, int] = {}

    def send(self, name: str = "m", *, rounds_s: float = 0) -> None:
        """Once, or again and again for some seconds; all at the same time."""
        ends = time.monotonic() + rounds_s
        with ThreadPoolExecutor(self._count) as pool:
            list(pool.map(lambda each: self._send(f"{name}-{each}", ends), range(self._count)))

    def all_kept(self) -> bool:
        """Sends once more, and says whether every message was answered 200."""
        self.send()
        return set(self.answers.values()) == {200}

    def of(self, status: int) -> set[str]:
        return {name for name, found in self.answers.items() if found == status}

    def _send(self, name: str, ends: float) -> None:
        with requests.Session() as session:
            session.trust_env = False
            number = 0
            while number == 0 or time.monotonic() < ends:
                content = {"type": "new", "n": f"{name}-{number}"}
                began = time.monotonic()
                answer = session.post(f"{self._service.url}/cb", json=content, timeout=60)
                self.took_s.append(time.monotonic() - began)
                self.answers[content["n"]] = answer.status_code
                number += 1


@contextmanager
def watched(service: Service) -> Iterator[list[float]]:
    """How long `/healthz` took, again and again while the block runs."""
    took_s: list[float] = []
    stopped = threading.Event()

    def look() -> None:
        while not stopped.wait(0.05):
            began = time.monotonic()
            requests.get(f"{service.url}/healthz", timeout=60)
            took_s.append(time.monotonic() - began)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield took_s
    finally:
        stopped.set()
        watcher.join()


@contextmanager
def slow(bench: Bench, *, sync_s: float = 0, look_s: float = 0) -> Iterator[None]:
    bench.disk.delay(sync_s=sync_s, look_s=look_s)
    try:
        yield
    finally:
        bench.disk.delay()


@contextmanager
def held(bench: Bench) -> Iterator[None]:
    """Another program has the journal for itself."""
    with closing(sqlite3.connect(bench.folder / "spool.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")


Fault = Callable[[Bench], AbstractContextManager[None]]
FAULTS: dict[str, Fault] = {
    "sync-3s": lambda bench: slow(bench, sync_s=3),
    "sync-40s": lambda bench: slow(bench, sync_s=40),
    "mount-hangs": lambda bench: slow(bench, look_s=40),
    "held": held,
}


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_message_is_answered_in_time_whatever_the_disk_does(tmp_path: Path, fault: Fault) -> None:
    bench = Bench(tmp_path / "spool")
    with bench.running() as service:
        Senders(service, 1).send("before")
        workers = {process.pid for process in service.family()}
        senders = Senders(service, 20)
        with fault(bench), watched(service) as health:
            senders.send()
            senders.send("next")
            assert max(senders.took_s) < IN_TIME_S
            assert set(senders.answers.values()) <= {200, 503}
            ready = requests.get(f"{service.url}/readyz", timeout=10)
            assert ready.elapsed.total_seconds() < IN_TIME_S
        assert max(health) < SOON_S
        wait_until(service.ready, service.log)
        afterwards = Senders(service, 20)
        wait_until(afterwards.all_kept, service.log)
        kept = bench.kept()
        assert senders.of(200) | afterwards.of(200) <= set(kept)
        assert set(kept.values()) == {1}
        assert {process.pid for process in service.family()} == workers
        assert service.log().count("spool unavailable") <= 2, "once for each worker"


@pytest.mark.slow
def test_service_is_ready_as_long_as_a_message_would_be_kept(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "spool", WEB_CONCURRENCY="1")
    with bench.running() as service, slow(bench, sync_s=1.1):
        answer = requests.get(f"{service.url}/readyz", timeout=10)
        assert (answer.status_code, answer.json()["keeper"]) == (200, "spool")
        assert service.post('{"type": "new"}').status_code == 200


LOOKS = ("/metrics", "/", "/readyz")


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_looks_at_the_spool_wait_for_no_disk(tmp_path: Path, fault: Fault) -> None:
    bench = Bench(tmp_path / "spool", WEB_CONCURRENCY="1")
    with bench.running() as service:
        Senders(service, 1).send("before")
        with fault(bench), watched(service) as health:
            for path in LOOKS:
                answer = requests.get(f"{service.ops_url}{path}", timeout=30)
                # Redis has its own half second on the page, and the spool is looked at more than once.
                assert answer.elapsed.total_seconds() < 2 * IN_TIME_S, path
        assert max(health) < SOON_S


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    ("sync_s", "level", "words"),
    [
        (0.0, "ok", "can be written; a sync took 0."),
        (0.4, "warning", "slow"),
        (1.0, "error", "too slow for an answer in time"),
        (40.0, "error", "took more than 5 s"),
    ],
)
def test_check_says_how_fast_the_disk_is(
    tmp_path: Path, sync_s: float, level: str, words: str
) -> None:
    folder = tmp_path / "spool"
    folder.mkdir()
    with SlowDisk(folder) as disk:
        disk.delay(sync_s=sync_s)
        settings = {"REDIS_URL": NO_REDIS, "SPOOL_DIR": str(folder), **disk.environ}
        done = subprocess.run(
            [sys.executable, "-m", "listener", "check", "--json"],
            cwd=ROOT, env=settings, capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip
    found = [json.loads(line) for line in done.stdout.splitlines()]
    disk_line = next(line for line in found if line["topic"] == "spool")
    assert disk_line["level"] == level, done.stdout + done.stderr
    assert words in disk_line["text"]
    assert list(folder.iterdir()) == [], "it leaves nothing behind"


@pytest.mark.slow
def test_disk_that_hangs_longer_than_the_master_waits_costs_no_worker(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "spool", GUNICORN_CMD_ARGS="--timeout 5")
    with bench.running() as service:
        workers = {process.pid for process in service.family()}
        with slow(bench, sync_s=40):
            Senders(service, 4).send(rounds_s=9)
        assert {process.pid for process in service.family()} == workers


@pytest.mark.slow
def test_sigterm_ends_a_service_whose_disk_hangs(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "spool")
    with bench.running() as service, slow(bench, sync_s=40):
        Senders(service, 4).send()
        began = time.monotonic()
        service.signal()
        assert service.wait() == 0, service.log()
        assert time.monotonic() - began < 12


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_messages_of_many_senders_share_a_sync(tmp_path: Path, workers: str) -> None:
    bench = Bench(tmp_path / "spool", WEB_CONCURRENCY=workers)
    with bench.running() as service, slow(bench, sync_s=0.1):
        senders = Senders(service, 40)
        senders.send(rounds_s=4)
        assert senders.of(503) == set()
        # One message a sync would be 40 in these seconds.
        assert len(senders.of(200)) > 200
    assert bench.kept().keys() >= senders.of(200)


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["2", "4"])
def test_workers_that_share_a_slow_journal_do_not_fail_each_other(
    tmp_path: Path, workers: str
) -> None:
    bench = Bench(tmp_path / "spool", WEB_CONCURRENCY=workers)
    with bench.running() as service, slow(bench, sync_s=0.2):
        senders = Senders(service, 20)
        senders.send(rounds_s=4)
        assert senders.of(503) == set(), statistics.quantiles(senders.took_s)
        assert max(senders.took_s) < IN_TIME_S
