"""A proxy on loopback that reads what clients ask of Redis, and refuses some of it as managed services do."""

import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

HOST = "127.0.0.1"
RESET = struct.pack("ii", 1, 0)
TOO_LARGE = b"-ERR max request size exceeded\r\n"
UNSUPPORTED = b"-ERR unsupported command '%s'\r\n"


class RespProxy:
    """Passes on one request after the other; its attributes say which it does not.

    Attributes:
        most_bytes: what a request may have; a larger one is answered with an error.
        cut_bytes: a request that has more ends its connection, without an answer.
        unsupported: names of commands that are answered with an error.
        deadly: names of commands that end the connection.
        seconds_per_mib: how long a request is held back for its size.
        error: the answer to a request that is too large.
        requests: how often each command was asked.
        connections: how many were opened.
    """

    def __init__(self, target: int | Path) -> None:
        """Takes the target's port on loopback, or its Unix socket."""
        self._target = target
        self._listening = socket.create_server((HOST, 0))
        self.port = self._listening.getsockname()[1]
        self.most_bytes = self.cut_bytes = 2**40
        self.unsupported: frozenset[str] = frozenset()
        self.deadly: frozenset[str] = frozenset()
        self.seconds_per_mib = 0.0
        self.error = TOO_LARGE
        self.requests: Counter[str] = Counter()
        self.connections = 0
        self._clients: set[socket.socket] = set()
        self._forgotten: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)

    @property
    def url(self) -> str:
        """As REDIS_URL has it."""
        return f"redis://{HOST}:{self.port}/0"

    def forget(self) -> None:
        """Swallows what comes over the connections that are open now, as a firewall does that forgot them."""
        self._forgotten |= self._clients

    @contextmanager
    def running(self) -> Iterator["RespProxy"]:
        """Passes on while the block runs; nothing of it is left afterwards."""
        self._accepting.start()
        try:
            yield self
        finally:
            # Closing alone would not wake the threads.
            self._listening.shutdown(socket.SHUT_RDWR)
            self._accepting.join()
            self._listening.close()
            for client in list(self._clients):
                with suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)
            for thread in self._threads:
                thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            self._clients.add(client)
            thread = threading.Thread(target=self._serve, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        try:
            with (
                self._connected() as target,
                target.makefile("rb") as replies,
                client.makefile("rb") as asked,
            ):
                while self._serve_one(client, asked, target, replies):
                    pass
        except OSError:
            # One side broke it; the client learns it by the reset below.
            pass
        finally:
            self._clients.discard(client)
            with suppress(OSError):
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.close()

    def _connected(self) -> socket.socket:
        if isinstance(self._target, Path):
            target = socket.socket(socket.AF_UNIX)
            target.connect(str(self._target))
            return target
        return socket.create_connection((HOST, self._target))

    def _serve_one(
        self, client: socket.socket, asked: IO[bytes], target: socket.socket, replies: IO[bytes]
    ) -> bool:
        """Serves the next request; false if the connection shall end."""
        request, words = _request(asked)
        if not words:
            return False
        if client in self._forgotten:
            return True
        name = words[0].decode().upper()
        self.requests[name] += 1
        if name in self.deadly or len(request) > self.cut_bytes:
            return False
        if name in self.unsupported:
            client.sendall(UNSUPPORTED % words[0])
        elif len(request) > self.most_bytes:
            client.sendall(self.error)
        else:
            time.sleep(self.seconds_per_mib * len(request) / 2**20)
            target.sendall(request)
            answer = _reply(replies)
            client.sendall(answer)
            return bool(answer)
        return True


def _request(asked: IO[bytes]) -> tuple[bytes, list[bytes]]:
    """The next request as it came, and its words; none at the end."""
    head = asked.readline()
    raw, words = [head], []
    for _ in range(int(head[1:] or 0)):
        size = asked.readline()
        word = asked.read(int(size[1:]) + 2)
        raw += [size, word]
        words.append(word[:-2])
    return b"".join(raw), words


def _reply(replies: IO[bytes]) -> bytes:
    """The next reply as it came; empty at the end."""
    head = replies.readline()
    count = int(head[1:]) if head[:1] in (b"$", b"*") else 0
    if head[:1] == b"$" and count >= 0:
        return head + replies.read(count + 2)
    if head[:1] == b"*":
        return head + b"".join(_reply(replies) for _ in range(count))
    return head
