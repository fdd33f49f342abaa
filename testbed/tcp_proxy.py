"""A TCP proxy on loopback that tears, delays and swallows, to stand between service and Redis."""

import select
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

HOST = "127.0.0.1"
LOOK_S = 0.02
CHUNK = 65_536
# Closing with this sends a reset instead of an orderly end.
RESET = struct.pack("ii", 1, 0)


class Proxy:
    """Passes bytes on; its attributes say what it does to them.

    Attributes:
        delay_s: how long it keeps each piece, in either direction.
        swallows: whether it drops what the target answers.
    """

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listening = socket.create_server((HOST, 0))
        self.port = self._listening.getsockname()[1]
        self.delay_s = 0.0
        self.swallows = False
        self._links: set[_Link] = set()
        self._thread = threading.Thread(target=self._accept)

    @contextmanager
    def running(self) -> Iterator["Proxy"]:
        """Passes on while the block runs; nothing of it is left afterwards."""
        self._thread.start()
        try:
            yield self
        finally:
            # Closing alone would not wake the thread.
            self._listening.shutdown(socket.SHUT_RDWR)
            self._thread.join()
            self._listening.close()
            self.tear()

    def tear(self, *, mute: bool = False) -> None:
        """Resets every connection that is open now, or every mute one; returns once they are."""
        for link in [link for link in self._links if link.is_mute or not mute]:
            link.torn.set()
            link.join()

    def mute(self) -> None:
        """Passes nothing more on over the connections that are open now; they stay open."""
        for link in list(self._links):
            link.is_mute = True

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self._links = {link for link in self._links if link.is_alive()}
            link = _Link(self, client, self._target_port)
            # Started before it is seen: what tears it waits for its end.
            link.start()
            self._links.add(link)


class _Link(threading.Thread):
    """One connection, and the one to the target behind it."""

    def __init__(self, proxy: Proxy, client: socket.socket, target_port: int) -> None:
        super().__init__()
        self.torn = threading.Event()
        self.is_mute = False
        self._proxy = proxy
        self._client = client
        self._target_port = target_port

    def run(self) -> None:
        try:
            with socket.create_connection((HOST, self._target_port)) as target:
                back = threading.Thread(target=self._pump, args=(target, self._client, True))
                back.start()
                self._pump(self._client, target, False)
                back.join()
                target.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        except OSError:
            # Nobody listens at the target: the client learns it by the reset below.
            pass
        finally:
            self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self._client.close()

    def _pump(self, source: socket.socket, sink: socket.socket, from_target: bool) -> None:
        poll = select.poll()
        poll.register(source, select.POLLIN)
        try:
            while not self.torn.is_set():
                if poll.poll(LOOK_S * 1000):
                    piece = source.recv(CHUNK)
                    if not piece:
                        break
                    self.torn.wait(self._proxy.delay_s)
                    if not (self.is_mute or (from_target and self._proxy.swallows)):
                        sink.sendall(piece)
        except OSError:
            # One side broke it; the other one gets to know by the reset.
            pass
        self.torn.set()
