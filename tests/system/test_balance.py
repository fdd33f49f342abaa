"""Connections spread over real workers, and one that is frozen or gone keeps nobody waiting."""

import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psutil
import pytest

from tests.service_process import RECEIVER, Service, wait_until

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"
CONNECTIONS = 40
TRIES = 3
ROUNDS = 5
# With one that may be ahead by an eighth, and each looking at a moment of its own; by luck it is 14.
FEWEST = 17


@pytest.fixture
def service(redis_server: str) -> Iterator[Service]:
    with Service(*RECEIVER, REDIS_URL=redis_server, ALLOW_ANY_SENDER="true") as running:
        running.wait_until_ready()
        yield running


@contextmanager
def clients(service: Service, number: int) -> Iterator[list[socket.socket]]:
    """Connections that each had an answer, and are kept."""
    with ExitStack() as stack:
        found = []
        for _ in range(number):
            client = socket.create_connection(("127.0.0.1", service.port), timeout=10)
            found.append(stack.enter_context(client))
        for client in found:
            client.sendall(HEALTH)
        for client in found:
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
        yield found


def workers(service: Service) -> list[psutil.Process]:
    return service.family()[1:]


def spread(service: Service) -> list[int]:
    """How many connections each worker has, the least first."""
    return sorted(
        sum(
            c.status == psutil.CONN_ESTABLISHED and c.laddr.port == service.port
            for c in worker.net_connections()
        )
        for worker in workers(service)
    )


def both_accept(service: Service) -> bool:
    with clients(service, CONNECTIONS):
        found = spread(service)
    wait_until(lambda: not any(spread(service)), service.log)
    return len(found) == 2 and all(found)


def check_spread(service: Service) -> None:
    """In one of three tries: what else runs on the machine may hold one worker up for a moment."""
    wait_until(lambda: both_accept(service), service.log)
    assert max(fewest(service) for _ in range(TRIES)) >= ROUNDS * FEWEST


def fewest(service: Service) -> int:
    """How many connections the worker with the fewest had, over all rounds."""
    found = 0
    for _ in range(ROUNDS):
        with clients(service, CONNECTIONS):
            least, most = spread(service)
        assert least + most == CONNECTIONS
        found += least
        wait_until(lambda: not any(spread(service)), service.log)
    return found


def test_connections_spread_evenly_also_after_a_worker_was_killed(service: Service) -> None:
    check_spread(service)
    killed = workers(service)[0]
    killed.kill()
    wait_until(lambda: killed not in workers(service) and len(workers(service)) == 2, service.log)
    check_spread(service)


def test_a_frozen_worker_keeps_nobody_waiting(service: Service) -> None:
    frozen = workers(service)[0]
    # Before it has any connection: everybody is ahead of it.
    frozen.send_signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        with clients(service, CONNECTIONS):
            assert time.monotonic() - begun < 2
            assert sum(spread(service)) == CONNECTIONS
    finally:
        frozen.send_signal(signal.SIGCONT)
