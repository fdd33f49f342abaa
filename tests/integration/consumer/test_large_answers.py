"""A consumer whose connection is cut where an answer is too large, or slow: it asks for less."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from listener.messages.message import Message
from listener.messages.payload import parse
from testbed.polling import wait_until
from testbed.redis_servers.redis_nodes import Node, started
from tests.support.consumer_runs import consumer, running

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


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    ("limit", "sizes"),
    [
        ("2mb", [BYTES] * MESSAGES),
        ("1mb", [BYTES] * MESSAGES),
        ("2mb", [100] * 200 + [BYTES] * MESSAGES + [100] * 200),
        ("2mb", [BYTES if number % 7 else 1_500_000 for number in range(MESSAGES)]),
        # No reply can bring the large ones whole.
        ("1mb", [100] * 10 + [1_500_000] + [100] * 30),
        ("256kb", [4_000_000] * 5),
    ],
    ids=[
        "four-at-once",
        "one-at-once",
        "large-among-small",
        "of-many-sizes",
        "one-too-large",
        "all-too-large",
    ],
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


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    ("limit", "sizes"),
    [
        ("2mb", [BYTES] * MESSAGES),
        ("1mb", [BYTES] * MESSAGES),
        ("2mb", [100] * 200 + [BYTES] * MESSAGES + [100] * 200),
        # No reply can bring the large ones whole.
        ("1mb", [100] * 10 + [1_500_000] + [100] * 30),
        ("256kb", [4_000_000] * 5),
    ],
    ids=["four-at-once", "one-at-once", "large-among-small", "one-too-large", "all-too-large"],
)
def test_consumer_takes_over_what_would_be_too_large_an_answer(
    node: Node, limit: str, sizes: list[int]
) -> None:
    fill(node, sizes)
    with closing(node.client()) as client:
        client.xgroup_create(STREAM, "g", id="0")
        client.xreadgroup("g", "gone", {STREAM: ">"}, count=len(sizes))
    node.ask("CONFIG", "SET", "client-output-buffer-limit", f"normal {limit} {limit} 0")
    handled: list[str] = []
    reading = consumer(f"redis://{node.address}", lambda message: handled.append(message.id))
    with running(reading):
        wait_until(lambda: len(set(handled)) == len(sizes), timeout_s=2 * QUICKLY_S)
    assert len(handled) == len(sizes), "none was handled twice"


def test_consumer_does_not_wait_for_the_idle_time_of_what_it_claimed_in_vain(node: Node) -> None:
    fill(node, [BYTES] * MESSAGES)
    with closing(node.client()) as client:
        client.xgroup_create(STREAM, "g", id="0")
        client.xreadgroup("g", "gone", {STREAM: ">"}, count=MESSAGES)
        rows: Any = client.xpending_range(STREAM, "g", "-", "+", MESSAGES)
        ids = [row["message_id"] for row in rows]
        client.xclaim(STREAM, "g", "gone", 0, ids, idle=3_600_000, justid=True)
    node.ask("CONFIG", "SET", "client-output-buffer-limit", "normal 2mb 2mb 0")
    handled: list[str] = []
    reading = consumer(
        f"redis://{node.address}",
        lambda message: handled.append(message.id),
        takeover_idle_s=600.0,
    )
    with running(reading):
        wait_until(lambda: len(set(handled)) == MESSAGES, timeout_s=2 * QUICKLY_S)
    assert len(handled) == MESSAGES, "none was handled twice"


def test_message_that_was_taken_over_in_pieces_is_as_it_was_sent(node: Node) -> None:
    fill(node, [100, 1_500_000, 100])
    with closing(node.client()) as client:
        client.xgroup_create(STREAM, "g", id="0")
        client.xreadgroup("g", "gone", {STREAM: ">"}, count=3)
    node.ask("CONFIG", "SET", "client-output-buffer-limit", "normal 1mb 1mb 0")
    handled: dict[str, Any] = {}
    reading = consumer(
        f"redis://{node.address}", lambda message: handled.update({message.id: message.data})
    )
    with running(reading):
        wait_until(lambda: len(handled) == 3, timeout_s=2 * QUICKLY_S)
    assert sorted(len(data["padding"]) for data in handled.values()) == [100, 100, 1_500_000]
    assert sorted(data["n"] for data in handled.values()) == [0, 1, 2]


def test_no_reply_to_a_read_is_as_large_as_the_batch_may_be(node: Node) -> None:
    # 16 messages at first, when nothing is known of their size, then 8 MiB; the batch is of 100.
    fill(node, [1_000_000] * 60)
    node.ask("CONFIG", "SET", "client-output-buffer-limit", "normal 20mb 20mb 0")
    handled: list[str] = []
    reading = consumer(f"redis://{node.address}", lambda message: handled.append(message.id))
    with running(reading):
        wait_until(lambda: len(set(handled)) == 60, timeout_s=2 * QUICKLY_S)
    assert "output buffer limits" not in (node.folder / "redis.log").read_text()
