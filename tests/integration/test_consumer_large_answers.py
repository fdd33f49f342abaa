"""A consumer whose connection is cut where an answer is too large, or slow: it asks for less."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from listener.messages.message import Message
from listener.messages.payload import parse
from sandbox.redis_nodes import Node, started
from tests.consumer_runs import consumer, running
from tests.service_process import wait_until

STREAM = "{fota:0}:messages"
NOW = datetime(2026, 11, 23, tzinfo=UTC)
MESSAGES, BYTES = 40, 500_000
# One message takes more than one second where each connection that breaks costs the consumer a pause.
QUICKLY_S = 15.0


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path / "redis", {})
    with started([node]):
        yield node


def fill(node: Node, sizes: list[int]) -> None:
    with closing(node.client()) as client:
        for number, size in enumerate(sizes):
            body = json.dumps({"type": "new", "n": number, "padding": "x" * size}).encode()
            message = Message.from_payload(parse(body), arrived=NOW, request_id="r")
            client.xadd(STREAM, message.fields())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limit", "sizes"),
    [
        ("2mb", [BYTES] * MESSAGES),
        ("1mb", [BYTES] * MESSAGES),
        ("2mb", [100] * 200 + [BYTES] * MESSAGES + [100] * 200),
        ("2mb", [BYTES if number % 7 else 1_500_000 for number in range(MESSAGES)]),
    ],
    ids=["four-at-once", "one-at-once", "large-among-small", "of-many-sizes"],
)
def test_consumer_reads_on_where_large_answers_end_the_connection(
    node: Node, limit: str, sizes: list[int]
) -> None:
    fill(node, sizes)
    node.ask("CONFIG", "SET", "client-output-buffer-limit", f"normal {limit} {limit} 0")
    handled: list[str] = []
    reading = consumer(f"redis://{node.address}", lambda message: handled.append(message.id))
    with running(reading):
        began = time.monotonic()
        wait_until(lambda: len(set(handled)) == len(sizes), timeout_s=2 * QUICKLY_S)
        assert time.monotonic() - began < QUICKLY_S
    assert len(handled) == len(sizes), "none was handled twice"


def test_consumer_takes_over_what_would_be_too_large_an_answer(node: Node) -> None:
    fill(node, [BYTES] * MESSAGES)
    with closing(node.client()) as client:
        client.xgroup_create(STREAM, "g", id="0")
        client.xreadgroup("g", "gone", {STREAM: ">"}, count=MESSAGES)
    node.ask("CONFIG", "SET", "client-output-buffer-limit", "normal 2mb 2mb 0")
    handled: list[str] = []
    reading = consumer(f"redis://{node.address}", lambda message: handled.append(message.id))
    with running(reading):
        wait_until(lambda: len(set(handled)) == MESSAGES, timeout_s=2 * QUICKLY_S)
    assert len(handled) == MESSAGES, "none was handled twice"
