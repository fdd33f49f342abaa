"""A proxy that hides many Redis servers behind one address, as Envoy and managed services do; it speaks RESP2."""

import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import IO

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from testbed.ports import HOST
from testbed.proxies.proxy import Proxy
from testbed.proxies.resp import read_command, read_reply

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


class ShardProxy(Proxy):
    """Sends each command to the server of its first key.

    Args:
        ports: the servers'; the slots are shared evenly among them, as `testbed.redis_servers.redis_cluster` does.

    Attributes:
        answers: may be set while it runs; see `refusing`.
        answers_crossslot: whether it answers commands with keys of several slots itself; if not, it
            sends them to the server of their first key, whatever that one makes of them.
        follows: whether it sends a command again where a server says that the slot has moved.
        slots: the port of each slot's server.
    """

    def __init__(self, ports: Sequence[int], *, answers_crossslot: bool = True) -> None:
        super().__init__()
        share = REDIS_CLUSTER_HASH_SLOTS / len(ports)
        self.slots = [ports[int(slot / share)] for slot in range(REDIS_CLUSTER_HASH_SLOTS)]
        self.answers_crossslot = answers_crossslot
        self.follows = True
        self.answers: Answers = lambda words: None

    @property
    def url(self) -> str:
        """As an operator who knows nothing of the shards would write it."""
        return f"redis://{HOST}:{self.port}/0"

    def serve(self, client: socket.socket) -> None:
        """See `Proxy`."""
        with ExitStack() as stack, client.makefile("rb") as commands:
            upstreams = _Upstreams(self, stack)
            while words := read_command(commands)[1]:
                client.sendall(self._answer(words, upstreams))

    def _answer(self, words: Words, upstreams: "_Upstreams") -> bytes:
        if words[0].upper() == b"HELLO":
            return b"-NOPROTO this proxy speaks RESP2\r\n"
        if own := self.answers(words):
            return own
        slots = {key_slot(key) for key in keys_of(words)}
        if len(slots) > 1 and self.answers_crossslot:
            return CROSSSLOT
        slot = key_slot(keys_of(words)[0]) if slots else 0
        answer = upstreams.send(self.slots[slot], words)
        if answer.startswith(b"-MOVED") and self.follows:
            self.slots[slot] = int(answer.rpartition(b":")[2])
            return upstreams.send(self.slots[slot], words)
        return answer


class _Upstreams:
    """One client's connections to the servers that it needs; the stack closes them."""

    def __init__(self, proxy: ShardProxy, stack: ExitStack) -> None:
        self._proxy = proxy
        self._stack = stack
        self._open: dict[int, tuple[socket.socket, IO[bytes]]] = {}

    def send(self, port: int, words: Words) -> bytes:
        if port not in self._open:
            upstream = self._stack.enter_context(self._proxy.connected(port))
            self._open[port] = upstream, self._stack.enter_context(upstream.makefile("rb"))
        connection, replies = self._open[port]
        parts = [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
        connection.sendall(b"*%d\r\n%s" % (len(words), b"".join(parts)))
        return read_reply(replies)


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
