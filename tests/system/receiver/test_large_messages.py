"""What shows messages to an operator takes little of a worker, however large they are, and holds up no message."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Self

import psutil
import pytest
import redis
import requests

from testbed.process import ROOT, log_file
from testbed.service import RECEIVER, Service

pytestmark = pytest.mark.slow

TOKEN = "token-of-all-the-tests"
STREAM = "{fota:0}:messages"
QUARANTINE = "{fota:0}:quarantine"
LARGE = 4 * 2**20
MANY = 24
MOST_GROWTH = 50 * 2**20
# Of a command's process, which has 60 MiB before it does anything.
MOST_OF_COMMAND = 160 * 2**20
DEAD = "{fota:0}:dead:billing"


@pytest.fixture(scope="module")
def service(redis_server: str) -> Iterator[Service]:
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
        fill(client)
        settings = {"REDIS_URL": redis_server, "CALLBACK_TOKEN": TOKEN, "WEB_CONCURRENCY": "1"}
        with Service(*RECEIVER, **settings) as running:
            running.wait_until_ready()
            yield running
        client.flushall()


def fill(client: "redis.Redis") -> None:
    """Small messages first: what reads in steps of so many entries would take the large ones for small."""
    devices = [{"deviceId": f"{number:015}"} for number in range(LARGE // 32)]
    content = {"upgradeId": "u", "deviceList": devices}
    data = json.dumps({"type": "upgradeScheduled", "upgradeScheduled": content})
    about: dict[Any, Any] = {"kind": "upgrade-scheduled", "subject": "u", "account": "a"}
    for number in range(MANY * 3):
        text = data if MANY <= number < MANY * 2 else "{}"
        client.xadd(STREAM, {**about, "time": "2026-11-23T08:00:00Z", "data": text})
    client.xgroup_create(STREAM, "billing", "0")
    client.xreadgroup("billing", "one", {STREAM: ">"}, count=MANY + 2)
    # Redis does not know the lag of a group whose stream has a gap.
    first: Any = client.xrange(STREAM, count=1)
    client.xdel(STREAM, first[0][0])
    refused: dict[Any, Any] = {"reason": "not-json", "data": data, "time": "2026-11-23T08:00:00Z"}
    for _ in range(MANY):
        client.xadd(QUARANTINE, refused)
        client.xadd(DEAD, {**about, "reason": "handler-failed", "entry": "1-1", "data": data})


def worker(service: Service) -> psutil.Process:
    return max(service.family(), key=lambda process: process.pid)


class Watch(threading.Thread):
    """Notes the most memory that a process had, and how long messages took meanwhile."""

    def __init__(self, service: Service) -> None:
        super().__init__(daemon=True)
        self.service = service
        self.process = worker(service)
        self.before = self.most = self.process.memory_info().rss
        self.longest_s = 0.0
        self.over = threading.Event()

    def run(self) -> None:
        number = 0
        while not self.over.is_set():
            number += 1
            began = time.monotonic()
            message = json.dumps({"type": "firmwareList", "n": f"{id(self)}-{number}"})
            assert self.service.post(message, f"/cb/{TOKEN}").status_code == 200
            self.longest_s = max(self.longest_s, time.monotonic() - began)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.join()

    def look(self) -> None:
        self.most = max(self.most, self.process.memory_info().rss)

    @property
    def growth(self) -> int:
        return self.most - self.before


def ask(service: Service, path: str, watch: Watch) -> str:
    found: list[requests.Response] = []

    def get() -> None:
        with requests.Session() as session:
            session.trust_env = False
            found.append(session.get(f"{service.ops_url}{path}", timeout=60))

    asking = threading.Thread(target=get)
    asking.start()
    while asking.is_alive():
        watch.look()
        time.sleep(0.005)
    assert found[0].status_code == 200
    return found[0].text


def test_page_and_metrics_take_little_of_a_worker(service: Service, redis_server: str) -> None:
    with redis.Redis.from_url(redis_server) as client:
        held: Any = client.xpending_range(STREAM, "billing", "-", "+", MANY + 2)
    large = held[-1]["message_id"].decode()
    with Watch(service) as watch:
        page = ask(service, "/", watch)
        ask(service, "/metrics", watch)
        message = ask(service, f"/messages/0/{large}", watch)
    assert watch.growth < MOST_GROWTH
    assert watch.longest_s < 1, watch.longest_s
    assert "too large" in page
    assert "are shown" in message
    assert len(page) + len(message) < 2**20


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        ("tail --from start --no-follow", MANY * 3 - 1),
        ("tail --last 60 --no-follow --json", 60),
        ("stats", 5),
        ("pending --limit 1000 --json", MANY + 2),
        ("dead list --json", MANY),
        ("dead list", MANY),
        ("quarantine list", MANY),
        ("quarantine list --json", MANY),
        ("replay --group billing --from start --dry-run", 3),
        ("export", MANY * 3 - 1),
        ("check", 5),
    ],
)
def test_command_takes_little_memory(service: Service, words: str, lines: int) -> None:
    environment = {**service.settings, "COLUMNS": "80", "SPOOL_DIR": ""}
    command = [sys.executable, "-m", "listener", *words.split()]
    most = 0
    with log_file() as log:
        running = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        process = psutil.Process(running.pid)
        while running.poll() is None:
            with suppress(psutil.NoSuchProcess):
                most = max(most, process.memory_info().rss)
            time.sleep(0.005)
        log.seek(0)
        written = sum(1 for _ in log)
    assert running.returncode in (0, 1)
    assert written >= lines
    assert 0 < most < MOST_OF_COMMAND, f"{most // 2**20} MiB"
