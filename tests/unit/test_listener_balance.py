"""Which worker lets the next connection to another one."""

import errno
import socket
from collections.abc import Iterator
from typing import Any

import gevent
import gevent.socket
import pytest
from gevent.pool import Pool
from gevent.server import StreamServer

from listener.balance import PLACES, WAIT_S, Balance, Server, Share
from tests.service_process import wait_until


def shares(*connections: int) -> list[Share]:
    """Workers that accept and have so many connections."""
    balance = Balance()
    entered = [balance.enter() for _ in connections]
    for share, count in zip(entered, connections, strict=True):
        share.accept(accepts=True)
        share.add(count)
    return entered


@pytest.mark.parametrize(
    ("mine", "others", "ahead"),
    [
        (0, [], False),
        (9, [], False),
        (0, [0], False),
        (1, [0], True),
        (1, [1], False),
        (2, [1, 9], True),
        (8, [9, 9], False),
        # A crowd need not be counted out one by one.
        (32, [29], False),
        (32, [28], True),
        (800, [701], False),
    ],
)
def test_who_has_more_lets_others_go_first(mine: int, others: list[int], *, ahead: bool) -> None:
    assert shares(mine, *others)[0].is_ahead() == ahead


def test_nobody_waits_for_one_that_does_not_accept() -> None:
    mine, other = shares(5, 0)
    other.accept(accepts=False)
    assert not mine.is_ahead()
    # What it still serves then ends.
    other.add(-1)
    assert not mine.is_ahead()


def test_nobody_waits_for_one_that_has_not_begun() -> None:
    balance = Balance()
    mine, _ = balance.enter(), balance.enter()
    mine.accept(accepts=True)
    mine.add(5)
    assert not mine.is_ahead()


def test_the_place_of_one_that_is_gone_is_anothers() -> None:
    balance = Balance()
    mine, gone = balance.enter(), balance.enter()
    for share in (mine, gone):
        share.accept(accepts=True)
    mine.add(5)
    assert mine.is_ahead()
    gone.leave()
    assert not mine.is_ahead()
    follows = balance.enter()
    follows.accept(accepts=True)
    assert mine.is_ahead()


def test_one_without_a_place_waits_for_nobody_and_nobody_for_it() -> None:
    balance = Balance()
    first, *_ = [balance.enter() for _ in range(PLACES)]
    beyond = balance.enter()
    for share in (first, beyond):
        share.accept(accepts=True)
        share.add(5)
    assert not first.is_ahead()
    assert not beyond.is_ahead()


class Accepting:
    """A worker's server and its clients; another worker accepts nothing, and has no connection."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.share, _ = shares(0, 0)
        self.waits = 0
        self.clients: list[socket.socket] = []
        listening = gevent.socket.socket()
        listening.bind(("127.0.0.1", 0))
        listening.listen(512)
        self.address = listening.getsockname()
        self.served = 0
        self.server = Server(listening, self._serve, Pool(1000), self.share)
        monkeypatch.setattr("listener.balance.gevent.spawn_later", self._spawn_later)

    def connect(self, number: int) -> None:
        self.clients += [socket.create_connection(self.address) for _ in range(number)]

    def served_all(self) -> bool:
        """Lets the server do what there is to do."""
        gevent.sleep(0.001)
        return self.served == len(self.clients)

    def close(self) -> None:
        self.server.stop()
        for client in self.clients:
            client.close()

    def _serve(self, client: Any, _address: Any) -> None:
        self.served += 1
        with client:
            client.recv(1)

    def _spawn_later(self, seconds: float, call: Any) -> None:
        assert seconds == WAIT_S
        self.waits += 1
        gevent.get_hub().loop.run_callback(gevent.spawn, call)


@pytest.fixture
def accepting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Accepting]:
    made = Accepting(monkeypatch)
    yield made
    made.close()


def test_a_crowd_is_soon_accepted_though_another_worker_is_frozen(accepting: Accepting) -> None:
    accepting.connect(300)
    accepting.server.start()
    wait_until(accepting.served_all)
    assert 10 < accepting.waits < 30


def test_a_wait_in_which_another_worker_took_it_is_no_advance_on_the_next(
    accepting: Accepting,
) -> None:
    accepting.server.start()
    accepting.connect(1)
    wait_until(accepting.served_all)
    # As if a connection had been there that went to the other one meanwhile.
    accepting.server._go_on()
    accepting.connect(1)
    wait_until(accepting.served_all)
    assert accepting.waits == 1


def test_a_connection_that_cannot_be_had_now_is_had_later(
    accepting: Accepting, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = iter([True, True])
    original = StreamServer.do_read

    def do_read(server: StreamServer) -> Any:
        if accepting.served and next(failing, False):
            raise OSError(errno.EMFILE, "too many open files")
        return original(server)

    monkeypatch.setattr(StreamServer, "do_read", do_read)
    told: list[Any] = []
    monkeypatch.setattr(gevent.get_hub(), "handle_error", lambda *error: told.append(error))
    accepting.server.start()
    accepting.connect(2)
    wait_until(accepting.served_all)
    assert next(failing, None) is None
    # gevent itself met the second, and so waited longer than this worker does.
    assert len(told) == 1
