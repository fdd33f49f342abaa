"""Redis servers that can be killed, frozen and started again."""

import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import redis

from testbed.polling import wait_until
from testbed.ports import HOST, free_port
from testbed.process import ChildProcess
from testbed.redis_servers import redis_process

NODES_DEADLINE_S = 60.0
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
            options: more of the server's options, or others than `redis_process.arguments` has.
            password: that it asks of clients and tells its master.
        """
        self.port = free_port()
        self.folder = folder
        self.password = password
        self.options = dict(REPLICATION) | dict(options)
        if password:
            self.options |= {"requirepass": password, "masterauth": password}
        self._process: ChildProcess | None = None
        self._frozen = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def address(self) -> str:
        """`127.0.0.1:PORT`."""
        return f"{HOST}:{self.port}"

    def start(self) -> None:
        """Starts it, or starts it again with what its files hold; returns once it answers."""
        if self._process is None:
            self._process = redis_process.server_process(self.words(), self.folder)
        self._process.start()
        try:
            redis_process.wait_until_it_answers(self._process, (HOST, self.port))
        except BaseException:
            self.close()
            raise

    def words(self) -> list[str]:
        """Its command-line arguments."""
        return redis_process.arguments(self.folder, port=self.port, options=self.options)

    def kill(self) -> None:
        """SIGKILL; returns once it is dead. A node that is dead stays so."""
        self._frozen = False
        if self._process:
            self._process.kill()

    def close(self) -> None:
        """Kills it for good."""
        self.kill()
        if self._process:
            self._process.close()
            self._process = None

    @property
    def is_alive(self) -> bool:
        """Whether its process is there, frozen or not."""
        return self._process is not None and not self._process.ended()

    @property
    def is_awake(self) -> bool:
        """Whether it runs and is not frozen."""
        return self.is_alive and not self._frozen

    def freeze(self) -> None:
        """SIGSTOP: its connections stay open, and it does nothing until `resume`."""
        self._frozen = True
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
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
            self._process.signal(number)


def node_at(nodes: Iterable[Node], port: int) -> Node:
    return next(node for node in nodes if node.port == port)


@contextmanager
def started(nodes: Iterable[Node]) -> Iterator[None]:
    """Starts nodes, and kills them when the block ends, frozen or not."""
    with ExitStack() as stack:
        for node in nodes:
            stack.enter_context(node)
        yield


def wait_for_nodes(condition: Callable[[], object], explain: str) -> None:
    """Waits for servers to agree; as long as one does not answer, the condition does not hold.

    Raises:
        DeadlineError: the condition did not hold in time.
    """
    wait_until(condition, explain, NODES_DEADLINE_S, ignoring=redis.RedisError)
