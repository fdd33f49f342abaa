"""A TCP proxy that tears, delays, swallows and switches targets: between service and Redis, or before services."""

import select
import socket
import threading

from testbed.polling import wait_until
from testbed.proxies.proxy import Proxy, reset

POLL_S = 0.02
CHUNK = 65_536


class TcpProxy(Proxy):
    """Passes bytes on; its attributes say what it does to them.

    Attributes:
        target_port: where new connections lead.
        delay_s: how long it keeps each piece, in either direction.
        swallows: whether it drops what the target answers.
    """

    def __init__(self, target_port: int = 0) -> None:
        super().__init__()
        self.delay_s = 0.0
        self.swallows = False
        self.target_port = target_port
        self._links: set[_Link] = set()
        self._mutex = threading.Lock()

    @property
    def url(self) -> str:
        """The address for HTTP."""
        return f"http://127.0.0.1:{self.port}"

    def switch(self, target_port: int) -> None:
        """Leads new connections to another target; returns when none leads to the one before."""
        with self._mutex:
            before, self.target_port = self.target_port, target_port
        wait_until(lambda: not any(link.target_port == before for link in list(self._links)))

    def tear(self, *, mute: bool = False) -> None:
        """Resets every connection that is open now, or every mute one; returns once they are."""
        for link in [link for link in list(self._links) if link.is_mute or not mute]:
            link.torn.set()
            link.ended.wait()

    def mute(self) -> None:
        """Passes nothing more on over the connections that are open now; they stay open."""
        for link in list(self._links):
            link.is_mute = True

    def serve(self, client: socket.socket) -> None:
        """See `Proxy`: both directions, each to its end."""
        with self._mutex:
            link = _Link(self, self.target_port)
            self._links.add(link)
        try:
            with self.connected(link.target_port) as target:
                link.run(client, target)
        except OSError:
            # Nobody listens at the target: the client learns it by the reset.
            link.torn.set()
        finally:
            if link.torn.is_set():
                reset(client)
            client.close()
            self._links.discard(link)
            link.ended.set()


class _Link:
    """A client's connection, and the one to the target."""

    def __init__(self, proxy: TcpProxy, target_port: int) -> None:
        self.target_port = target_port
        self.torn = threading.Event()
        self.ended = threading.Event()
        self.is_mute = False
        self._proxy = proxy

    def run(self, client: socket.socket, target: socket.socket) -> None:
        back = threading.Thread(target=self._pump, args=(target, client, True))
        back.start()
        self._pump(client, target, False)
        back.join()
        if self.torn.is_set():
            reset(target)

    def _pump(self, source: socket.socket, sink: socket.socket, from_target: bool) -> None:
        poll = select.poll()
        poll.register(source, select.POLLIN)
        try:
            while not self.torn.is_set():
                if not poll.poll(POLL_S * 1000):
                    continue
                piece = source.recv(CHUNK)
                self.torn.wait(self._proxy.delay_s)
                if self.is_mute or (from_target and self._proxy.swallows):
                    if not piece:
                        break
                elif piece:
                    sink.sendall(piece)
                else:
                    sink.shutdown(socket.SHUT_WR)
                    return
        except OSError:
            # One side broke it: the other one gets a reset.
            pass
        self.torn.set()
