"""Faults of the service's clients: senders, Prometheus, and the process that reads its log."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from random import Random

import requests

from bench.chaos.alarm import Exempt
from bench.chaos.environments.environment import Environment
from bench.chaos.environments.single import (
    PipedLogEnvironment,
    SingleEnvironment,
    kept_metrics,
    piped_log,
    single,
    unread_log,
)
from bench.chaos.fault import fault
from bench.chaos.faults.service import HIT, terminate
from testbed.ports import HOST

EARLY_CONNECTIONS = 40
MAX_METRICS_BYTES = 16 * 2**20


@fault("early-connections", single, Exempt("no fault of the service or of Redis"))
def connect_early(environment: SingleEnvironment, rng: Random) -> None:
    """Connections are opened in advance, and used 6 s later."""
    address = (HOST, environment.service.port)
    connections = [HTTPConnection(*address, timeout=10) for _ in range(EARLY_CONNECTIONS)]
    for connection in connections:
        connection.connect()
    # The service once closed a new connection that sent nothing for 5 s.
    time.sleep(rng.uniform(5.5, 7.0))
    marks = [f"early-{time.monotonic()}-{number}" for number in range(EARLY_CONNECTIONS)]
    with ThreadPoolExecutor(EARLY_CONNECTIONS) as pool:
        list(pool.map(environment.send, marks, connections))


@fault("slow-scrapes", single, Exempt("no fault of the service or of Redis"))
def scrape(environment: SingleEnvironment, rng: Random) -> None:
    """/metrics is read again and again, and by some very slowly."""
    stop = threading.Event()

    def fast() -> None:
        while not stop.is_set():
            assert requests.get(f"{environment.service.ops_url}/metrics", timeout=10).ok

    def slow() -> None:
        with socket.create_connection((HOST, environment.service.ops_port)) as scraper:
            scraper.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while not stop.wait(0.1):
                scraper.recv(64)

    scrapers = (fast, fast, slow, slow)
    with ThreadPoolExecutor(len(scrapers)) as pool:
        running = [pool.submit(scraper) for scraper in scrapers]
        time.sleep(rng.uniform(2.0, 3.0))
        stop.set()
        for scraper in running:
            scraper.result()


@fault("metrics-kept", kept_metrics, HIT, may_break=True)
def restart(environment: SingleEnvironment, rng: Random) -> None:
    """SIGTERM of gunicorn and a new start, three times, with a folder of metrics that stays."""
    for _ in range(3):
        terminate.inject(environment, rng)
        time.sleep(rng.uniform(0.2, 0.5))
    folder = Path(environment.service.settings["PROMETHEUS_MULTIPROC_DIR"])
    size = sum(file.stat().st_size for file in folder.iterdir())
    assert size < MAX_METRICS_BYTES, f"{size} bytes of metrics are kept"


@fault(
    "log-pause",
    piped_log,
    Exempt("a metric counts lost lines, and the log says so once it is read"),
)
def pause_reader(environment: PipedLogEnvironment, rng: Random) -> None:
    """The reader of the log pauses for 2 to 5 s; each message is logged."""
    environment.reader.suspend()
    try:
        time.sleep(rng.uniform(2.0, 5.0))
    finally:
        environment.reader.resume()


@fault("log-unread", unread_log, Exempt("a metric counts lost lines"))
def wait(environment: Environment, rng: Random) -> None:
    """Nobody ever reads the log; each message is logged."""
    time.sleep(rng.uniform(2.0, 4.0))
