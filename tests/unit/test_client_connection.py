"""The limiter at the door: who makes way, and when."""

from typing import Any

import pytest

from listener.server.client_connection import Connection, ConnectionLimiter


class Guest:
    """Stands in for a connection: only who is cut matters here."""

    def __init__(self) -> None:
        self.is_evicted = False

    def evict(self) -> None:
        self.is_evicted = True


def guests(limiter: ConnectionLimiter, number: int) -> list[Any]:
    found: list[Any] = [Guest() for _ in range(number)]
    for guest in found:
        limiter.begin(guest)
    return found


def cut(found: list[Any]) -> list[int]:
    return [place for place, guest in enumerate(found) if guest.is_evicted]


def test_who_has_been_at_it_longest_makes_way_for_the_next() -> None:
    limiter = ConnectionLimiter(max_connections=3, max_bytes=100)
    found = guests(limiter, 3)
    assert cut(found) == []
    # It begins another request, and so is the youngest.
    limiter.begin(found[0])
    found += guests(limiter, 1)
    assert cut(found) == [1]


def test_who_leaves_makes_room() -> None:
    limiter = ConnectionLimiter(max_connections=3, max_bytes=100)
    found = guests(limiter, 3)
    limiter.leave(found[1])
    limiter.leave(found[1])
    found += guests(limiter, 1)
    assert cut(found) == []


def test_who_holds_memory_longest_makes_way_when_it_is_too_much() -> None:
    limiter = ConnectionLimiter(max_connections=10, max_bytes=100)
    found = guests(limiter, 4)
    for place, size in ((1, 60), (2, 30), (3, 10)):
        limiter.count_bytes(found[place], size)
    assert cut(found) == []
    limiter.count_bytes(found[3], 1)
    # The first holds nothing: to cut it would free nothing.
    assert cut(found) == [1]
    limiter.begin(found[2])
    limiter.count_bytes(found[2], 89)
    assert cut(found) == [1]
    limiter.count_bytes(found[2], 1)
    assert cut(found) == [1, 3]


def test_one_alone_is_not_cut_for_its_size() -> None:
    limiter = ConnectionLimiter(max_connections=10, max_bytes=100)
    found = guests(limiter, 1)
    limiter.count_bytes(found[0], 1000)
    assert cut(found) == []
    found += guests(limiter, 1)
    assert cut(found) == [0]


def test_who_was_cut_counts_no_more() -> None:
    limiter = ConnectionLimiter(max_connections=1, max_bytes=100)
    found = guests(limiter, 2)
    limiter.count_bytes(found[0], 1000)
    assert cut(found) == [0]


def test_a_connection_is_the_socket_in_all_else() -> None:
    class Socket:
        def getsockname(self) -> tuple[str, int]:
            return ("127.0.0.1", 8000)

    connection = Connection(Socket(), ConnectionLimiter(1, 1), 1.0, 1.0)
    assert connection.getsockname() == ("127.0.0.1", 8000)


class Waiting(Guest):
    """A guest that has waited for some time, new or not."""

    def __init__(self, since_s: float, *, is_new: bool = True) -> None:
        super().__init__()
        self.since_s = since_s
        self.is_new = is_new

    def has_idled(self, seconds: float) -> bool:
        return self.since_s >= seconds

    def has_been_silent(self, seconds: float) -> bool:
        return self.is_new and self.has_idled(seconds)


@pytest.mark.parametrize(
    ("places", "evicted"),
    [
        (12, []),
        (10, [1]),
        (9, [1, 3]),
        (8, [1, 3]),
        (6, [1, 3, 4]),
    ],
)
def test_silent_connections_are_evicted_only_while_over_half_of_the_places_are_taken(
    places: int, evicted: list[int]
) -> None:
    limiter = ConnectionLimiter(max_connections=places, max_bytes=100)
    used = Waiting(90.0, is_new=False)
    found: list[Any] = [used, *map(Waiting, (80.0, 4.0, 7.0, 6.0, 1.0))]
    for guest in found:
        limiter.begin(guest)
    limiter.evict_silent(5.0)
    assert cut(found) == evicted


def test_silent_connections_are_evicted_some_at_a_time() -> None:
    limiter = ConnectionLimiter(max_connections=1000, max_bytes=100)
    found: list[Any] = [Waiting(6.0) for _ in range(1000)]
    for guest in found:
        limiter.begin(guest)
    evicted = []
    for _ in range(4):
        limiter.evict_silent(5.0)
        evicted.append(len(cut(found)))
    assert evicted == [200, 400, 500, 500]


def test_only_who_has_waited_for_so_long_is_ended() -> None:
    limiter = ConnectionLimiter(max_connections=10, max_bytes=100)
    found: list[Any] = [Waiting(since_s) for since_s in (4.0, 5.0, 6.0)]
    for guest in found:
        limiter.begin(guest)
    limiter.evict_idle(5.0)
    assert cut(found) == [1, 2]
