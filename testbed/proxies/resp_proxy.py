"""A Redis proxy that refuses, delays or cuts some commands, as managed services do."""

import socket
import time
from collections import Counter
from pathlib import Path
from typing import IO

from testbed.ports import HOST
from testbed.proxies.proxy import Proxy
from testbed.proxies.resp import read_command, read_reply

TOO_LARGE = b"-ERR max request size exceeded\r\n"
UNSUPPORTED = b"-ERR unsupported command '%s'\r\n"


class RespProxy(Proxy):
    """Passes on one request after the other; its attributes say which it does not.

    Args:
        target: a port on loopback, or the path of a Unix socket.

    Attributes:
        most_bytes: what a request may have; a larger one is answered with an error.
        cut_bytes: a request that has more ends its connection, without an answer.
        unsupported: names of commands that are answered with an error.
        deadly: names of commands that end the connection.
        seconds_per_mib: how long a request is held back for its size.
        error: the answer to a request that is too large.
        requests: how often each command was asked.
    """

    def __init__(self, target: int | Path) -> None:
        super().__init__()
        self._target = target
        self.most_bytes = self.cut_bytes = 2**40
        self.unsupported: frozenset[str] = frozenset()
        self.deadly: frozenset[str] = frozenset()
        self.seconds_per_mib = 0.0
        self.error = TOO_LARGE
        self.requests: Counter[str] = Counter()
        self._clients: set[socket.socket] = set()
        self._forgotten: set[socket.socket] = set()

    @property
    def url(self) -> str:
        """As REDIS_URL has it."""
        return f"redis://{HOST}:{self.port}/0"

    def forget(self) -> None:
        """Swallows what comes over the connections that are open now, as a firewall does that forgot them."""
        self._forgotten |= self._clients

    def serve(self, client: socket.socket) -> None:
        """See `Proxy`."""
        self._clients.add(client)
        try:
            with (
                self.connected(self._target) as target,
                target.makefile("rb") as replies,
                client.makefile("rb") as commands,
            ):
                while True:
                    request, words = read_command(commands)
                    if not words:
                        return
                    if client not in self._forgotten:
                        client.sendall(self._answer(request, words, target, replies))
        finally:
            self._clients.discard(client)

    def _answer(
        self, request: bytes, words: list[bytes], target: socket.socket, replies: IO[bytes]
    ) -> bytes:
        """The answer to a request. Raises OSError if the connection is to end, EOFError if the target ended it."""
        name = words[0].decode().upper()
        self.requests[name] += 1
        if name in self.deadly or len(request) > self.cut_bytes:
            raise ConnectionResetError
        if name in self.unsupported:
            return UNSUPPORTED % words[0]
        if len(request) > self.most_bytes:
            return self.error
        time.sleep(self.seconds_per_mib * len(request) / 2**20)
        target.sendall(request)
        return read_reply(replies)
