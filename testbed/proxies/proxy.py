"""What the proxies share: a listening port on loopback, and a thread for each connection."""

import socket
import struct
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from testbed.ports import HOST

# Closing with this sends a reset instead of an orderly end.
RESET = struct.pack("ii", 1, 0)


class Proxy(ABC):
    """Listens from its construction on, and serves within `running`.

    Attributes:
        port: where it listens.
        connections: how many were opened.
    """

    def __init__(self) -> None:
        self._listening = socket.create_server((HOST, 0), backlog=128)
        self.port: int = self._listening.getsockname()[1]
        self.connections = 0
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    @abstractmethod
    def serve(self, client: socket.socket) -> None:
        """Serves one connection to its end, in a thread of its own.

        An OSError or EOFError that it raises resets the client's connection; otherwise that ends orderly.
        """

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Serves while the block runs; nothing of it is left afterwards."""
        accepting = threading.Thread(target=self._accept)
        accepting.start()
        try:
            yield self
        finally:
            # Closing alone would not wake the threads.
            self._listening.shutdown(socket.SHUT_RDWR)
            accepting.join()
            self._listening.close()
            for connection in list(self._open):
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            for thread in self._threads:
                thread.join()

    @contextmanager
    def connected(self, target: int | Path) -> Iterator[socket.socket]:
        """A connection to a port on loopback or to a Unix socket; it ends with the proxy at the latest."""
        address = (HOST, target) if isinstance(target, int) else str(target)
        family = socket.AF_INET if isinstance(target, int) else socket.AF_UNIX
        with socket.socket(family) as connection:
            connection.connect(address)
            self._open.add(connection)
            try:
                yield connection
            finally:
                self._open.discard(connection)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            self._open.add(client)
            thread = threading.Thread(target=self._serve, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        try:
            self.serve(client)
        except (OSError, EOFError):
            reset(client)
        finally:
            self._open.discard(client)
            client.close()


def reset(connection: socket.socket) -> None:
    """Has the connection end with a reset when it is closed."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
