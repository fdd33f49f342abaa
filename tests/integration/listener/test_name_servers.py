"""Name servers that do not answer, so that the name of Redis cannot be looked up for a long time."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from testbed.polling import wait_until
from testbed.redis_servers.redis_nodes import Node, started
from testbed.service import RECEIVER, Service

TOKEN = "token-of-the-name-servers"
HANGS_S = 15.0
Result = TypeVar("Result")
# As the system's resolver does: it blocks its native thread, and fails after a long time.
SLOW = f"""
import _socket, os, time

def look_up(host, *args, **options):
    if host in ("redis.test", b"redis.test"):
        if os.path.exists({{hangs!r}}):
            time.sleep({HANGS_S})
            raise _socket.gaierror(-3, "Temporary failure in name resolution")
        host = "127.0.0.1"
    return original(host, *args, **options)

original, _socket.getaddrinfo = _socket.getaddrinfo, look_up
"""


@pytest.fixture
def hangs(tmp_path: Path) -> Path:
    """While it exists, the name cannot be looked up."""
    return tmp_path / "hangs"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path / "redis", {})
    with started([node]):
        yield node


@pytest.fixture
def service(node: Node, tmp_path: Path, hangs: Path) -> Iterator[Service]:
    """Not started yet."""
    (tmp_path / "sitecustomize.py").write_text(SLOW.format(hangs=str(hangs)))
    made = Service(
        *RECEIVER,
        REDIS_URL=f"redis://redis.test:{node.port}",
        CALLBACK_TOKEN=TOKEN,
        PYTHONPATH=str(tmp_path),
    )
    try:
        yield made
    finally:
        made.__exit__()


def send(service: Service, number: int) -> int:
    return service.post(json.dumps({"type": "new", "n": number}), f"/cb/{TOKEN}").status_code


def timed(action: Callable[[], Result]) -> tuple[Result, float]:
    began = time.monotonic()
    return action(), time.monotonic() - began


def length(node: Node) -> int:
    return int(node.ask("XLEN", "{fota:0}:messages"))


@pytest.mark.slow
def test_service_answers_in_time_while_the_name_of_redis_cannot_be_looked_up(
    node: Node, service: Service, hangs: Path
) -> None:
    service.start()
    service.wait_until_ready()
    hangs.touch()
    node.kill()
    for number in range(20):
        status, took_s = timed(lambda number=number: send(service, number))  # type: ignore[misc]
        assert (status, took_s < 2) == (200, True), service.log()
        ready, took_s = timed(service.ready)
        assert (ready, took_s < HANGS_S / 3) == (True, True), service.log()
    hangs.unlink()
    node.start()
    wait_until(lambda: length(node) == 20, service.log)


def test_service_starts_while_the_name_of_redis_cannot_be_looked_up(
    node: Node, service: Service, hangs: Path
) -> None:
    hangs.touch()
    began = time.monotonic()
    service.start()
    service.wait_until_ready()
    assert time.monotonic() - began < HANGS_S, service.log()
    assert send(service, 1) == 200
    hangs.unlink()
    wait_until(lambda: length(node) == 1, service.log)
