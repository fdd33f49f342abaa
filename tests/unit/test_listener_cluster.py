"""Which key a command is for, and how a Cluster's own description is read."""

from typing import Any

import pytest
import redis

from listener.redis_client.cluster import key_of
from listener.redis_client.nodes import Nodes

SEEDS = [("a", 1), ("b", 2)]


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (("SET", "k", "v"), "k"),
        (("XINFO GROUPS", "k"), "k"),
        (("EVALSHA", "sha", 2, "k", "l", "v"), "k"),
        (("eval", "return {}", 1, "k"), "k"),
        ((b"EVAL".decode(), "text", 1, b"k"), b"k"),
        (("XREAD", b"COUNT", "1", b"STREAMS", "k", "0"), "k"),
        (("XREADGROUP", "GROUP", "g", "c", "STREAMS", "k", ">"), "k"),
        (("CONFIG GET", "append*"), None),
        (("INFO", "memory"), None),
        (("RANDOMKEY",), None),
    ],
)
def test_the_key_of_a_command(words: tuple[Any, ...], key: Any) -> None:
    assert key_of(words) == key


class Node:
    """Stands in for the client of one node; tells what it is told to, or fails."""

    def __init__(self, told: Any) -> None:
        self.told = told
        self.asked = 0

    def execute_command(self, *words: str) -> Any:
        assert words == ("CLUSTER", "SLOTS")
        self.asked += 1
        if isinstance(self.told, Exception):
            raise self.told
        return self.told


def nodes_of(clients: dict[tuple[str, int], Any]) -> Nodes:
    return Nodes(SEEDS, lambda host, port: clients[host, port], timeout_s=10)


def test_masters_are_read_with_and_without_their_host() -> None:
    rows = [
        [0, 99, [b"10.0.0.1", 7001, b"id", []], [b"10.0.0.9", 7009, b"id"]],
        [100, 199, ["10.0.0.2", 7002, "id"]],
        [200, 299, [None, 7003, "id"]],
        [300, 399, [b"", 7004, b"id"]],
    ]
    nodes = nodes_of({("a", 1): Node(rows)})
    assert nodes.master(50) == ("10.0.0.1", 7001)
    assert nodes.master(100) == ("10.0.0.2", 7002)
    assert nodes.master(299) == ("a", 7003)
    assert nodes.master(300) == ("a", 7004)
    assert len(nodes.masters()) == 4
    with pytest.raises(redis.ConnectionError, match="no master of the Cluster serves slot 400"):
        nodes.master(400)


@pytest.mark.parametrize("told", [redis.ConnectionError("refused"), redis.TimeoutError(), []])
def test_a_node_that_cannot_tell_is_asked_last_from_then_on(told: Any) -> None:
    first, second = Node(told), Node([[0, 16383, ["b", 2]]])
    nodes = nodes_of({("a", 1): first, ("b", 2): second})
    assert nodes.master(1) == ("b", 2)
    nodes.forget()
    assert nodes.master(1) == ("b", 2)
    assert (first.asked, second.asked) == (1, 2)


def test_what_is_known_is_not_asked_again_and_a_moved_slot_is_noted() -> None:
    only = Node([[0, 16383, ["a", 1]]])
    nodes = nodes_of({("a", 1): only})
    assert nodes.master(1) == nodes.master(2) == ("a", 1)
    nodes.moved(1, ("c", 3))
    assert (nodes.master(1), nodes.master(2)) == (("c", 3), ("a", 1))
    assert only.asked == 1


def test_when_no_node_can_tell_the_error_is_one_of_redis() -> None:
    down = redis.ConnectionError("refused")
    nodes = nodes_of({("a", 1): Node(down), ("b", 2): Node(down)})
    with pytest.raises(redis.ConnectionError, match="no node of the Cluster answers: refused"):
        nodes.master(1)
