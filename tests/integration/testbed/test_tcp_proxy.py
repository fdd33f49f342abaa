"""The TCP proxy: it passes an orderly end on, and does to connections what a test asks of it."""

import socket
import threading
from collections.abc import Iterator

import pytest

from testbed.polling import wait_until
from testbed.ports import HOST, free_port
from testbed.proxies.tcp_proxy import TcpProxy


class Echo:
    """A server that sends back what it receives, with its name before it."""

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.listening = socket.create_server((HOST, 0))
        self.port: int = self.listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while piece := connection.recv(100):
                    connection.sendall(self.name + piece)
            except OSError:
                # The proxy reset it.
                return

    def close(self) -> None:
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()


@pytest.fixture
def servers() -> Iterator[tuple[Echo, Echo]]:
    first, second = Echo(b"1:"), Echo(b"2:")
    yield first, second
    first.close()
    second.close()


@pytest.fixture
def proxy(servers: tuple[Echo, Echo]) -> Iterator[TcpProxy]:
    with TcpProxy(servers[0].port).running() as running:
        yield running


def connect(proxy: TcpProxy) -> socket.socket:
    return socket.create_connection((HOST, proxy.port), timeout=10)


def ask(client: socket.socket, text: bytes = b"x") -> bytes:
    client.sendall(text)
    return client.recv(100)


def test_what_one_side_sends_before_its_end_arrives_and_then_the_end(proxy: TcpProxy) -> None:
    with connect(proxy) as client:
        client.sendall(b"last")
        client.shutdown(socket.SHUT_WR)
        assert client.makefile("rb").read() == b"1:last"


def test_a_torn_connection_is_reset_and_a_new_one_passes(proxy: TcpProxy) -> None:
    with connect(proxy) as client:
        assert ask(client) == b"1:x"
        proxy.tear()
        with pytest.raises(ConnectionResetError):
            client.recv(100)
    with connect(proxy) as client:
        assert ask(client) == b"1:x"


def test_a_mute_connection_stays_open_and_others_pass(proxy: TcpProxy) -> None:
    with connect(proxy) as mute, connect(proxy) as other:
        # Only a connection that was answered is open for the proxy as well.
        assert ask(mute) == b"1:x"
        assert ask(other) == b"1:x"
        proxy.mute()
        mute.settimeout(0.2)
        with pytest.raises(TimeoutError):
            ask(mute)
        with connect(proxy) as later:
            assert ask(later) == b"1:x"
        proxy.tear(mute=True)
        other.settimeout(10)
        with pytest.raises(ConnectionResetError):
            other.recv(100)


def test_answers_are_swallowed_only_while_that_is_asked_for(proxy: TcpProxy) -> None:
    with connect(proxy) as client:
        proxy.swallows = True
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            ask(client, b"lost")
        proxy.swallows = False
        client.settimeout(10)
        assert ask(client, b"kept") == b"1:kept"


def test_a_client_is_reset_where_nobody_listens() -> None:
    with (
        TcpProxy(free_port()).running() as proxy,
        connect(proxy) as client,
        pytest.raises(ConnectionResetError),
    ):
        client.recv(100)


def test_a_switch_waits_for_connections_to_the_target_before(
    proxy: TcpProxy, servers: tuple[Echo, Echo]
) -> None:
    switching = threading.Thread(target=proxy.switch, args=(servers[1].port,))
    with connect(proxy) as old:
        assert ask(old) == b"1:x"
        switching.start()
        wait_until(lambda: proxy.target_port == servers[1].port)
        with connect(proxy) as new:
            assert ask(new) == b"2:x"
        assert ask(old) == b"1:x"
        assert switching.is_alive()
    switching.join(10)
    assert not switching.is_alive()


def test_nothing_is_left_of_a_proxy_that_ended(servers: tuple[Echo, Echo]) -> None:
    before = threading.active_count()
    with TcpProxy(servers[0].port).running() as proxy:
        client = connect(proxy)
        assert ask(client) == b"1:x"
    with client:
        assert client.recv(100) == b""
    wait_until(lambda: threading.active_count() <= before)
