"""Redis servers of our own to do harm to: killed, frozen, started again. For the tests."""

import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redis

from testbed import redis_process

HOST = "127.0.0.1"
# A Cluster's nodes also listen 10,000 above: that too must stay below the ports that the operating
# system chooses for outgoing connections.
PORTS = range(10_000, 20_000)
BUS = 10_000
DEADLINE_S = 60.0
# A synchronisation begins at once; and a replica that got nothing yet does not count in a Cluster,
# so that the master's pings, too, come soon.
REPLICATION = {"repl-diskless-sync-delay": "0", "repl-ping-replica-period": "1"}


class Node:
    """One server process on a port of its own; its files outlive a kill."""

    def __init__(
        self, folder: Path, options: Mapping[str, str], *, password: str | None = None
    ) -> None:
        """Chooses a port; starts nothing yet.

        Args:
            folder: for its files and its log.
            options: more of the server's options, or others than `embedded_redis.arguments` has.
            password: that it asks of clients and tells its master.
        """
        self.port = free_port()
        self.folder = folder
        self.password = password
        self.options = dict(REPLICATION) | dict(options)
        if password:
            self.options |= {"requirepass": password, "masterauth": password}
        self._process: subprocess.Popen[bytes] | None = None
        self._frozen = False

    @property
    def address(self) -> str:
        """`127.0.0.1:PORT`."""
        return f"{HOST}:{self.port}"

    def start(self) -> None:
        """Starts it, or starts it again with what its files hold; returns once it answers."""
        self._process = redis_process.start(self.words(), self.folder, (HOST, self.port))

    def words(self) -> list[str]:
        """Its command-line arguments."""
        return redis_process.arguments(self.folder, port=self.port, options=self.options)

    def kill(self) -> None:
        """SIGKILL; returns once it is dead. A node that is dead stays so."""
        self._frozen = False
        if self._process:
            self._process.kill()
            self._process.wait()

    @property
    def is_alive(self) -> bool:
        """Whether its process is there, frozen or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def is_awake(self) -> bool:
        """Whether it runs and is not frozen."""
        return self.is_alive and not self._frozen

    def freeze(self) -> None:
        """SIGSTOP: its connections stay open, and it does nothing until `thaw`."""
        self._frozen = True
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)
        self._frozen = False

    def ask(self, *command: Any) -> Any:
        """Sends one command and returns its reply, texts decoded. Raises redis.RedisError."""
        with self.client() as client:
            return client.execute_command(*command)

    def client(self) -> "redis.Redis":
        """A client of this node alone; the caller closes it."""
        return redis.Redis(
            HOST,
            self.port,
            password=self.password,
            socket_timeout=10,
            decode_responses=True,
            protocol=2,
        )

    def _signal(self, number: signal.Signals) -> None:
        if self._process:
            self._process.send_signal(number)


@contextmanager
def started(nodes: Iterable[Node]) -> Iterator[None]:
    """Starts nodes, and kills them when the block ends, frozen or not."""
    with ExitStack() as stack:
        for node in nodes:
            stack.callback(node.kill)
            node.start()
        yield


def until(condition: Callable[[], object], what: str) -> None:
    """Polls until the condition holds; a node that does not answer counts as: not yet.

    Raises:
        embedded_redis.ServerFailedError: it did not hold in time.
    """
    deadline = time.monotonic() + DEADLINE_S
    while not _holds(condition):
        if time.monotonic() > deadline:
            raise redis_process.ServerFailedError(f"Not in {DEADLINE_S:.0f} s: {what}")
        time.sleep(0.02)


def free_port() -> int:
    """A port on which nobody listens, and nobody at its Cluster bus either; from now on it is ours.

    No other call gives it away, in whatever process, while this process lives: not before its server
    starts, nor while that one is dead. A server may answer there that was started without asking.

    Raises:
        embedded_redis.ServerFailedError: there is none left.
    """
    for port in random.sample(PORTS, len(PORTS)):
        if _claim(port) and _is_free(port + BUS):
            return port
    raise redis_process.ServerFailedError("There is no free port.")


def _claim(port: int) -> bool:
    """Keeps a port until this process ends, if nobody else keeps it or listens there.

    A bound UDP socket is the claim: Redis needs only TCP, and the operating system ends it whatever
    becomes of us. It comes before the look at TCP, which would be in the way of a server that is
    just starting there.
    """
    with socket.socket(type=socket.SOCK_DGRAM) as claim:
        if not (_binds(claim, port) and _is_free(port)):
            return False
        claim.detach()
        return True


def _is_free(port: int) -> bool:
    with socket.socket() as candidate:
        return _binds(candidate, port)


def _binds(candidate: socket.socket, port: int) -> bool:
    try:
        candidate.bind((HOST, port))
    except OSError:
        return False
    return True


def _holds(condition: Callable[[], object]) -> bool:
    try:
        return bool(condition())
    except redis.RedisError:
        return False
