"""New connections reach a worker that serves them, while another worker is stopped, ends or is replaced."""

import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psutil
import pytest

from testbed.polling import wait_until
from testbed.service import RECEIVER, Service

MESSAGE = b"POST /cb HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
CONNECTIONS = 40


@pytest.fixture
def service(redis_server: str) -> Iterator[Service]:
    with Service(*RECEIVER, REDIS_URL=redis_server, ALLOW_ANY_SENDER="true") as running:
        running.wait_until_ready()
        wait_until(lambda: len(workers(running)) == 2, running.log)
        yield running


def workers(service: Service) -> list[psutil.Process]:
    return service.family()[1:]


@contextmanager
def stopped(*processes: psutil.Process) -> Iterator[None]:
    """The processes neither accept nor serve while the block runs."""
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)


def send(service: Service, stack: ExitStack) -> list[socket.socket]:
    """Opens connections with a message on each."""
    clients = []
    for _ in range(CONNECTIONS):
        client = socket.create_connection(("127.0.0.1", service.port), timeout=10)
        clients.append(stack.enter_context(client))
        client.sendall(MESSAGE)
    return clients


def statuses(clients: list[socket.socket]) -> set[bytes]:
    return {client.recv(4096)[:12] for client in clients}


def test_stopped_worker_delays_no_new_connection(service: Service) -> None:
    with stopped(workers(service)[0]), ExitStack() as stack:
        begun = time.monotonic()
        assert statuses(send(service, stack)) == {b"HTTP/1.1 200"}
        # The provider tries about twice within two seconds.
        assert time.monotonic() - begun < 2


def test_connection_that_waits_when_a_worker_is_terminated_is_served(service: Service) -> None:
    ending, other = workers(service)
    with ExitStack() as stack:
        with stopped(ending, other):
            clients = send(service, stack)
            ending.terminate()
        assert statuses(clients) == {b"HTTP/1.1 200"}
    wait_until(lambda: ending not in workers(service), service.log)


@pytest.mark.slow
def test_reload_refuses_and_drops_no_connection(service: Service) -> None:
    replaced = workers(service)
    service.signal(signal.SIGHUP)
    while any(worker in workers(service) for worker in replaced):
        with ExitStack() as stack:
            assert statuses(send(service, stack)) == {b"HTTP/1.1 200"}
