"""A proxy that hides many Redis servers behind one address, as Envoy and managed services do.

It speaks RESP2 and sends each command to the server of its first key. It imports none of our packages,
so that system tests and chaos can use it.
"""

import socket
import socketserver
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BufferedIOBase

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

HOST = "127.0.0.1"
CROSSSLOT = b"-CROSSSLOT Keys in request don't hash to the same slot\r\n"
KEYLESS = frozenset(
    b"AUTH CLIENT CLUSTER COMMAND CONFIG DBSIZE ECHO INFO PING SCAN SCRIPT SELECT TIME WAIT".split()
)
KEYS_BEHIND_COUNT = frozenset((b"EVAL", b"EVALSHA"))
KEY_BEHIND_WORD = frozenset((b"XGROUP", b"XINFO"))
KEYS_BEHIND_STREAMS = frozenset((b"XREAD", b"XREADGROUP"))
ALL_ARE_KEYS = frozenset((b"DEL", b"EXISTS", b"UNLINK", b"MGET"))

Words = Sequence[bytes]
Answers = Callable[[Words], bytes | None]
"""Returns the reply that the proxy gives by itself to a command; None: it passes the command on."""


class ShardProxy(socketserver.ThreadingTCPServer):
    """Listens on a free port of its own.

    Attributes:
        answers: may be set while it runs; see `refusing`.
        answers_crossslot: whether it answers commands with keys of several slots itself; if not, it
            sends them to the server of their first key, whatever that one makes of them.
        follows: whether it sends a command again where a server says that the slot has moved.
    """

    daemon_threads = True

    def __init__(self, ports: Sequence[int], *, answers_crossslot: bool = True) -> None:
        """The slots are shared evenly among the servers, as `testbed.redis_cluster` does."""
        super().__init__((HOST, 0), _Link)
        share = REDIS_CLUSTER_HASH_SLOTS / len(ports)
        self.slots = [ports[int(slot / share)] for slot in range(REDIS_CLUSTER_HASH_SLOTS)]
        self.answers_crossslot = answers_crossslot
        self.follows = True
        self.answers: Answers = lambda words: None
        self.open: set[socket.socket] = set()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        """As an operator who knows nothing of the shards would write it."""
        return f"redis://{HOST}:{self.port}/0"

    @contextmanager
    def running(self) -> Iterator["ShardProxy"]:
        """Serves while the block runs; nothing of it is left afterwards."""
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            self.shutdown()
            thread.join()
            for each in list(self.open):
                _end(each)
            self.server_close()


class _Link(socketserver.StreamRequestHandler):
    """One client's connection, and those to the servers that it needs."""

    server: ShardProxy

    def setup(self) -> None:
        super().setup()
        self.server.open.add(self.request)
        self._upstream: dict[int, tuple[socket.socket, BufferedIOBase]] = {}

    def handle(self) -> None:
        try:
            while words := _command(self.rfile):
                self.wfile.write(self._answer(words))
        except (OSError, EOFError):
            return

    def finish(self) -> None:
        for upstream, file in self._upstream.values():
            file.close()
            _end(upstream)
        self.server.open.discard(self.request)
        try:
            super().finish()
        except OSError:
            return

    def _answer(self, words: Words) -> bytes:
        if words[0].upper() == b"HELLO":
            return b"-NOPROTO this proxy speaks RESP2\r\n"
        if own := self.server.answers(words):
            return own
        slots = {key_slot(key) for key in keys_of(words)}
        if len(slots) > 1 and self.server.answers_crossslot:
            return CROSSSLOT
        slot = key_slot(keys_of(words)[0]) if slots else 0
        answer = self._ask(self.server.slots[slot], words)
        if answer.startswith(b"-MOVED") and self.server.follows:
            self.server.slots[slot] = int(answer.rpartition(b":")[2])
            return self._ask(self.server.slots[slot], words)
        return answer

    def _ask(self, port: int, words: Words) -> bytes:
        if port not in self._upstream:
            made = socket.create_connection((HOST, port))
            self.server.open.add(made)
            self._upstream[port] = made, made.makefile("rb")
        upstream, file = self._upstream[port]
        parts = [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
        upstream.sendall(b"*%d\r\n%s" % (len(words), b"".join(parts)))
        return _reply(file)


def refusing(*words: bytes) -> Answers:
    """Refuses every command that has one of the words."""
    return lambda command: None if set(words).isdisjoint(command) else b"-ERR unknown command\r\n"


def keys_of(words: Words) -> Words:
    """The keys of a command, as far as the commands of a queue need it."""
    name = words[0].upper()
    if name in KEYLESS or len(words) == 1:
        return ()
    if name in KEYS_BEHIND_COUNT:
        return words[3 : 3 + int(words[2])]
    if name in KEYS_BEHIND_STREAMS:
        at = [word.upper() for word in words].index(b"STREAMS") + 1
        return words[at : at + (len(words) - at) // 2]
    if name in ALL_ARE_KEYS:
        return words[1:]
    return words[2:3] if name in KEY_BEHIND_WORD else words[1:2]


def _command(file: BufferedIOBase) -> list[bytes]:
    """The next command; none at the end of the connection."""
    head = file.readline()
    words = []
    for _ in range(int(head[1:] or 0)):
        size = int(file.readline()[1:])
        words.append(file.read(size + 2)[:-2])
    return words


def _reply(file: BufferedIOBase) -> bytes:
    """One whole reply as it came. Raises EOFError."""
    head = file.readline()
    if not head:
        raise EOFError
    kind, size = head[:1], head[1:-2]
    if kind == b"$" and size != b"-1":
        return head + file.read(int(size) + 2)
    if kind == b"*" and size != b"-1":
        return head + b"".join(_reply(file) for _ in range(int(size)))
    return head


def _end(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    connection.close()
