"""The limiter of a worker's connections: which one it evicts, and when."""

from typing import Any

import pytest

from listener.server.client_connection import Connection, ConnectionLimiter


class FakeConnection:
    """Stands in for a connection that has waited for some time, new or not."""

    def __init__(self, idle_s: float = 0.0, *, is_new: bool = True) -> None:
        self.idle_s = idle_s
        self.is_new = is_new
        self.is_evicted = False

    def evict(self) -> None:
        self.is_evicted = True

    def is_idle(self, seconds: float) -> bool:
        return self.idle_s >= seconds

    def is_unused(self, seconds: float) -> bool:
        return self.is_new and self.is_idle(seconds)


def add(limiter: ConnectionLimiter, *connections: Any) -> list[Any]:
    for connection in connections:
        limiter.make_newest(connection)
    return list(connections)


def fakes(number: int) -> list[Any]:
    return [FakeConnection() for _ in range(number)]


def evicted(connections: list[Any]) -> list[int]:
    return [place for place, each in enumerate(connections) if each.is_evicted]


def test_oldest_connection_is_evicted_for_the_next() -> None:
    limiter = ConnectionLimiter(max_connections=3, max_bytes=100)
    connections = add(limiter, *fakes(3))
    assert evicted(connections) == []
    # It begins another request, and so is the newest.
    limiter.make_newest(connections[0])
    connections += add(limiter, *fakes(1))
    assert evicted(connections) == [1]


def test_connection_that_is_removed_frees_its_place_once() -> None:
    limiter = ConnectionLimiter(max_connections=3, max_bytes=100)
    connections = add(limiter, *fakes(3))
    limiter.remove(connections[1])
    limiter.remove(connections[1])
    connections += add(limiter, *fakes(1))
    assert evicted(connections) == []


def test_oldest_connection_that_holds_memory_is_evicted_above_the_byte_budget() -> None:
    limiter = ConnectionLimiter(max_connections=10, max_bytes=100)
    connections = add(limiter, *fakes(4))
    for place, size in ((1, 60), (2, 30), (3, 10)):
        limiter.count_bytes(connections[place], size)
    assert evicted(connections) == []
    limiter.count_bytes(connections[3], 1)
    # The first holds nothing: evicting it would free nothing.
    assert evicted(connections) == [1]
    limiter.make_newest(connections[2])
    limiter.count_bytes(connections[2], 89)
    assert evicted(connections) == [1]
    limiter.count_bytes(connections[2], 1)
    assert evicted(connections) == [1, 3]


def test_single_connection_is_not_evicted_for_its_size() -> None:
    limiter = ConnectionLimiter(max_connections=10, max_bytes=100)
    connections = add(limiter, *fakes(1))
    limiter.count_bytes(connections[0], 1000)
    assert evicted(connections) == []
    connections += add(limiter, *fakes(1))
    assert evicted(connections) == [0]


def test_bytes_of_an_evicted_connection_do_not_count() -> None:
    limiter = ConnectionLimiter(max_connections=1, max_bytes=100)
    connections = add(limiter, *fakes(2))
    limiter.count_bytes(connections[0], 1000)
    assert evicted(connections) == [0]


def test_connection_has_the_other_methods_of_its_socket() -> None:
    class Socket:
        def getsockname(self) -> tuple[str, int]:
            return ("127.0.0.1", 8000)

    assert Connection(Socket(), ConnectionLimiter(1, 1)).getsockname() == ("127.0.0.1", 8000)


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        (12, []),
        (10, [1]),
        (9, [1, 3]),
        (8, [1, 3]),
        (6, [1, 3, 4]),
    ],
)
def test_unused_connections_are_evicted_only_while_over_half_of_the_places_are_taken(
    places: int, expected: list[int]
) -> None:
    limiter = ConnectionLimiter(max_connections=places, max_bytes=100)
    used = FakeConnection(90.0, is_new=False)
    connections = add(limiter, used, *map(FakeConnection, (80.0, 4.0, 7.0, 6.0, 1.0)))
    limiter.evict_unused(5.0)
    assert evicted(connections) == expected


def test_unused_connections_are_evicted_some_at_a_time() -> None:
    limiter = ConnectionLimiter(max_connections=1000, max_bytes=100)
    connections = add(limiter, *(FakeConnection(6.0) for _ in range(1000)))
    numbers = []
    for _ in range(4):
        limiter.evict_unused(5.0)
        numbers.append(len(evicted(connections)))
    assert numbers == [200, 400, 500, 500]


def test_only_connections_that_have_been_idle_long_enough_are_evicted() -> None:
    limiter = ConnectionLimiter(max_connections=10, max_bytes=100)
    connections = add(limiter, *map(FakeConnection, (4.0, 5.0, 6.0)))
    limiter.evict_idle(5.0)
    assert evicted(connections) == [1, 2]
