"""Which key a command is for, and how the map of a Cluster is read and kept."""

from itertools import count
from typing import Any

import pytest
import redis
from redis.crc import key_slot
from redis.exceptions import AskError, MovedError

from listener.redis_client.cluster import key_of
from listener.redis_client.topology import Topology

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
        (("CLIENT", "SETNAME", "fota-check"), None),
        (("CLIENT ID",), None),
        (("TIME",), None),
        (("HINCRBY", "k", "field", "none"), "k"),
        (("XPENDING", "k", "group"), "k"),
    ],
)
def test_the_key_of_a_command(words: tuple[Any, ...], key: Any) -> None:
    assert key_of(words) == key


class Node(redis.Redis):
    """Stands in for the client of one node: replies to CLUSTER SLOTS, or fails."""

    def __init__(self, reply: Any) -> None:
        super().__init__()
        self.reply = reply
        self.asked = 0

    def execute_command(self, *words: Any, **_: Any) -> Any:
        assert words == ("CLUSTER SLOTS",)
        self.asked += 1
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.response_callbacks["CLUSTER SLOTS"](self.reply)


def topology_of(clients: dict[tuple[str, int], Node], timeout_s: float = 10) -> Topology:
    """Nodes that are not named get a client that nobody may use."""

    def connect(host: str, port: int) -> redis.Redis:
        return clients.get((host, port)) or Node(AssertionError(f"{host}:{port} was asked"))

    return Topology(SEEDS, connect, timeout_s)


def address_of(topology: Topology, key: str) -> tuple[str, int]:
    node = topology.master(key)
    return node.host, node.port


def key_in(slots: range) -> str:
    return next(key for key in map(str, count()) if key_slot(key.encode()) in slots)


FIRST, SECOND, THIRD, FOURTH, FIFTH = (
    key_in(range(start, start + 1000)) for start in range(0, 5000, 1000)
)


def test_masters_are_read_with_and_without_their_host() -> None:
    rows = [
        [0, 999, [b"10.0.0.1", 7001, b"id", []], [b"10.0.0.9", 7009, b"id"]],
        [1000, 1999, ["10.0.0.2", 7002, "id"]],
        [2000, 2999, [None, 7003, "id"]],
        [3000, 3999, [b"", 7004, b"id"]],
    ]
    topology = topology_of({("a", 1): Node(rows)})
    assert address_of(topology, FIRST) == ("10.0.0.1", 7001)
    assert address_of(topology, SECOND) == ("10.0.0.2", 7002)
    assert address_of(topology, THIRD) == ("a", 7003)
    assert address_of(topology, FOURTH) == ("a", 7004)
    assert len(topology.masters()) == 4
    with pytest.raises(redis.ConnectionError, match="no master of the Cluster serves slot 4"):
        topology.master(FIFTH)


@pytest.mark.parametrize("rows", [[[0, 16383, [None, 7003]]], [[0, 16383, [b"", 7003, b"id"]]]])
def test_a_master_that_serves_every_slot_needs_no_host(rows: Any) -> None:
    assert address_of(topology_of({("a", 1): Node(rows)}), FIRST) == ("a", 7003)


@pytest.mark.parametrize(
    "reply",
    [
        redis.ConnectionError("refused"),
        redis.TimeoutError(),
        redis.ResponseError("no permissions"),
        [],
        None,
    ],
)
def test_a_node_that_cannot_answer_is_asked_last_from_then_on(reply: Any) -> None:
    first, second = Node(reply), Node([[0, 16383, ["b", 2]]])
    topology = topology_of({("a", 1): first, ("b", 2): second})
    assert address_of(topology, FIRST) == ("b", 2)
    topology.forget()
    assert address_of(topology, FIRST) == ("b", 2)
    assert (first.asked, second.asked) == (1, 2)


def test_the_map_is_read_once_and_a_moved_slot_is_noted() -> None:
    only = Node([[0, 16383, ["a", 1]]])
    topology = topology_of({("a", 1): only})
    assert address_of(topology, FIRST) == address_of(topology, SECOND) == ("a", 1)
    moved = MovedError(f"{key_slot(FIRST.encode())} c:3")
    assert topology.redirected(moved, topology.master(FIRST)).port == 3
    assert address_of(topology, FIRST) == ("c", 3)
    assert address_of(topology, SECOND) == ("a", 1)
    assert topology.master(FIRST).redis_connection
    assert only.asked == 1


def test_a_redirect_without_a_host_leads_to_the_sender_and_ask_changes_no_map() -> None:
    topology = topology_of({("a", 1): Node([[0, 16383, ["a", 1]]])})
    asked = AskError(f"{key_slot(FIRST.encode())} :9")
    node = topology.redirected(asked, topology.master(FIRST))
    assert (node.host, node.port) == ("a", 9)
    assert node.redis_connection
    assert address_of(topology, FIRST) == ("a", 1)


def test_a_slot_that_moves_while_the_map_lacks_it_is_followed_all_the_same() -> None:
    topology = topology_of({("a", 1): Node([[0, 999, ["a", 1]]])})
    moved = MovedError(f"{key_slot(FIFTH.encode())} c:3")
    assert topology.redirected(moved, topology.master(FIRST)).host == "c"


def test_the_given_addresses_are_asked_again_after_every_known_node_is_gone() -> None:
    first, second = Node([[0, 16383, ["c", 3]]]), Node([[0, 16383, ["b", 2]]])
    gone = Node(redis.ConnectionError("refused"))
    topology = topology_of({("a", 1): first, ("b", 2): second, ("c", 3): gone})
    assert address_of(topology, FIRST) == ("c", 3)
    first.reply = redis.ConnectionError("refused")
    topology.forget(topology.master(FIRST))
    assert address_of(topology, FIRST) == ("b", 2)


def test_no_further_node_is_asked_when_the_time_is_spent() -> None:
    first, second = Node(redis.TimeoutError("late")), Node([[0, 16383, ["b", 2]]])
    topology = topology_of({("a", 1): first, ("b", 2): second}, timeout_s=-1)
    with pytest.raises(redis.ConnectionError, match="no node of the Cluster answers: late"):
        topology.master(FIRST)
    assert second.asked == 0
    assert address_of(topology, FIRST) == ("b", 2)


def test_when_no_node_answers_the_error_is_one_of_redis_and_says_why() -> None:
    down = redis.ConnectionError("refused")
    topology = topology_of({("a", 1): Node(down), ("b", 2): Node(down)})
    with pytest.raises(redis.ConnectionError, match="no node of the Cluster answers: refused"):
        topology.master(FIRST)


def test_a_refusal_is_named_as_the_server_words_it() -> None:
    refused = Node(redis.ResponseError("no permissions to run 'cluster|slots'"))
    topology = topology_of({("a", 1): refused, ("b", 2): refused})
    with pytest.raises(redis.ConnectionError, match="answers: no permissions to run"):
        topology.masters()


def test_a_client_keeps_the_name_localhost_which_a_certificate_may_be_for() -> None:
    connected = []

    def connect(host: str, port: int) -> redis.Redis:
        connected.append((host, port))
        return Node([[0, 16383, ["127.0.0.1", 1]]])

    topology = Topology([("localhost", 1)], connect, timeout_s=10)
    assert topology.master(FIRST).redis_connection
    assert connected == [("localhost", 1)]


def test_nothing_is_asked_before_the_map_is_needed() -> None:
    only = Node([[0, 16383, ["a", 1]]])
    topology_of({("a", 1): only, ("b", 2): only})
    assert only.asked == 0
