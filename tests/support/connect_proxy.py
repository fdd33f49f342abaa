"""An HTTP proxy for CONNECT, as companies have one between their machines and the internet."""

import base64
import contextlib
import selectors
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

Address = tuple[str, int]
HEAD_END = b"\r\n\r\n"
PIECE = 65536
# Of a connection that nobody uses any more: the test is over by then.
IDLE_S = 30.0


@dataclass
class ConnectProxy:
    """What a running proxy saw.

    Attributes:
        port: where it listens, on 127.0.0.1.
        routes: where it connects to in place of a host and a port; it resolves no other name.
        login: user and password that it asks for; None: nobody has to log in.
        targets: what was asked for, as in "thingspace.example.com:443".
        heads: the whole heads of these requests.
        clear: all bytes that went through it, both ways.
    """

    port: int
    routes: Mapping[str, Address]
    login: tuple[str, str] | None = None
    targets: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    clear: bytearray = field(default_factory=bytearray)

    @property
    def url(self) -> str:
        """Without a login."""
        return f"http://127.0.0.1:{self.port}"

    def serve(self, client: socket.socket) -> None:
        """Serves one connection until either side ends it."""
        head = b""
        while HEAD_END not in head:
            if not (piece := client.recv(PIECE)):
                return
            head += piece
        text = head.decode("latin-1")
        self.heads.append(text)
        method, target, *_ = text.split()
        self.targets.append(target)
        if not self._is_logged_in(text):
            client.sendall(
                b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
            )
        elif method != "CONNECT" or target not in self.routes:
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        else:
            with socket.create_connection(self.routes[target], 10) as server:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                relay(client, server, self.clear.extend)

    def _is_logged_in(self, head: str) -> bool:
        if self.login is None:
            return True
        word = base64.b64encode(":".join(self.login).encode()).decode()
        return f"Proxy-Authorization: Basic {word}\r\n" in head


@contextmanager
def connect_proxy(
    routes: Mapping[str, Address],
    *,
    login: tuple[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> Iterator[ConnectProxy]:
    """Runs a proxy while the block runs; with `tls` its clients speak TLS with the proxy itself as well."""
    with listening() as listener:
        proxy = ConnectProxy(listener.getsockname()[1], routes, login)

        def serve(client: socket.socket) -> None:
            if tls is None:
                proxy.serve(client)
                return
            with tls.wrap_socket(client, server_side=True) as secure:
                proxy.serve(secure)

        with accepting(listener, serve):
            yield proxy


@contextmanager
def tls_front(context: ssl.SSLContext, target: Address) -> Iterator[Address]:
    """Speaks TLS in front of a server that does not, while the block runs; yields its address."""
    with listening() as listener:

        def serve(client: socket.socket) -> None:
            with (
                context.wrap_socket(client, server_side=True) as secure,
                socket.create_connection(target, 10) as server,
            ):
                relay(secure, server, lambda _: None)

        with accepting(listener, serve):
            yield listener.getsockname()


@contextmanager
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@contextmanager
def accepting(listener: socket.socket, serve: Callable[[socket.socket], None]) -> Iterator[None]:
    """Serves each connection in a thread of its own while the block runs."""
    handles: list[socket.socket] = []

    def handle(client: socket.socket) -> None:
        client.settimeout(IDLE_S)
        # A client that goes away, or does not trust the certificate, is what the tests are about.
        with contextlib.suppress(OSError), client:
            serve(client)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                # One of its own: TLS takes the socket over.
                handles.append(client.dup())
                threading.Thread(target=handle, args=(client,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        for copy in handles:
            with contextlib.suppress(OSError), copy:
                copy.shutdown(socket.SHUT_RDWR)


def relay(client: socket.socket, server: socket.socket, seen: Callable[[bytes], object]) -> None:
    """Passes bytes on in both directions until one side ends."""
    with selectors.DefaultSelector() as selector:
        selector.register(client, selectors.EVENT_READ, server)
        selector.register(server, selectors.EVENT_READ, client)
        while ready := selector.select(IDLE_S):
            for key, _ in ready:
                source = key.fileobj
                assert isinstance(source, socket.socket)
                piece = source.recv(PIECE)
                # TLS may hold more than the socket shows.
                while isinstance(source, ssl.SSLSocket) and source.pending():
                    piece += source.recv(PIECE)
                if not piece:
                    return
                seen(piece)
                key.data.sendall(piece)
