"""Faults of those who are connected to the service: senders, Prometheus, and the reader of its log."""

import http.client
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import requests

from bench.chaos.alarm import Exempt
from bench.chaos.fault import Fault
from bench.chaos.faults.service import HIT, terminate
from bench.chaos.ledger import Attempt
from bench.chaos.sender import LOGIN
from bench.chaos.stages import kept_metrics, read_log, single, unread_log
from bench.chaos.world import PATH, World
from bench.chaos.worlds import LogWorld, SingleWorld

EARLY = 40
SCRAPERS = 4
FOLDER_BYTES = 16 * 2**20


def connect_early(world: SingleWorld, chance: Random) -> None:
    connections = [
        http.client.HTTPConnection("127.0.0.1", world.service.port, timeout=10)
        for _ in range(EARLY)
    ]
    for connection in connections:
        connection.connect()
    # A new connection was given 5 s for its first byte once.
    time.sleep(chance.uniform(5.5, 7.0))
    with ThreadPoolExecutor(EARLY) as pool:
        list(pool.map(lambda pair: _send(world, *pair), enumerate(connections)))


def _send(world: World, number: int, connection: http.client.HTTPConnection) -> None:
    mark = f"early-{time.monotonic()}-{number}"
    content = {"type": "upgradeFinished", "mark": mark}
    sent = world.ledger.send(mark, content)
    began = time.monotonic()
    status: int | None = None
    try:
        connection.request("POST", PATH, json.dumps({**content, **LOGIN}))
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException):
        # As with any sender: no answer.
        pass
    finally:
        connection.close()
    sent.attempts.append(Attempt(began, time.monotonic() - began, status))


def scrape(world: SingleWorld, chance: Random) -> None:
    ends = threading.Event()

    def fast() -> None:
        while not ends.is_set():
            assert requests.get(f"{world.service.ops_url}/metrics", timeout=10).ok

    def slow() -> None:
        with socket.create_connection(("127.0.0.1", world.service.ops_port)) as scraper:
            scraper.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while not ends.wait(0.1):
                scraper.recv(64)

    with ThreadPoolExecutor(SCRAPERS) as pool:
        scrapers = [pool.submit(each) for each in (fast, fast, slow, slow)]
        time.sleep(chance.uniform(2.0, 3.0))
        ends.set()
        for scraper in scrapers:
            scraper.result()


def restart(world: SingleWorld, chance: Random) -> None:
    for _ in range(3):
        terminate(world, chance)
        time.sleep(chance.uniform(0.2, 0.5))
    folder = Path(world.service.settings["PROMETHEUS_MULTIPROC_DIR"])
    taken = sum(file.stat().st_size for file in folder.iterdir())
    assert taken < FOLDER_BYTES, f"{taken} bytes of metrics are kept"


def pause_reader(world: LogWorld, chance: Random) -> None:
    world.reader.suspend()
    try:
        time.sleep(chance.uniform(2.0, 5.0))
    finally:
        world.reader.resume()


def wait(world: World, chance: Random) -> None:
    time.sleep(chance.uniform(2.0, 4.0))


FAULTS = (
    Fault(
        "log-pause",
        "the reader of the log pauses for 2 to 5 s; each message is logged",
        read_log,
        pause_reader,
        Exempt("a metric counts lost lines, and the log says so once it is read"),
    ),
    Fault(
        "log-unread",
        "nobody ever reads the log; each message is logged",
        unread_log,
        wait,
        Exempt("a metric counts lost lines"),
    ),
    Fault(
        "early-connections",
        "connections are opened in advance, and used 6 s later",
        single,
        connect_early,
        Exempt("no fault of the service or of Redis"),
    ),
    Fault(
        "slow-scrapes",
        "/metrics is read again and again, and by some very slowly",
        single,
        scrape,
        Exempt("no fault of the service or of Redis"),
    ),
    Fault(
        "metrics-kept",
        "SIGTERM of gunicorn and a new start, three times, with a folder of metrics that stays",
        kept_metrics,
        restart,
        HIT,
        may_break=True,
    ),
)
