"""A Redis master with replicas under Sentinels, all real processes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import redis

from testbed.ports import HOST
from testbed.redis_servers.redis_nodes import Node, node_at, started, wait_for_nodes

SERVICE = "fota"
QUORUM = 2
NO_OPTIONS: Mapping[str, str] = MappingProxyType({})


class SentinelProcess(Node):
    """A Sentinel process: the same program in another mode, with a file that it writes itself."""

    def __init__(self, folder: Path, master: Node, down_after_ms: int) -> None:
        """Chooses a port and writes its file."""
        super().__init__(folder, {})
        lines = [
            f"port {self.port}",
            f"bind {HOST}",
            f"dir {folder}",
            f"sentinel monitor {SERVICE} {HOST} {master.port} {QUORUM}",
            f"sentinel down-after-milliseconds {SERVICE} {down_after_ms}",
            # A failover for which nobody was elected is tried again after twice this.
            f"sentinel failover-timeout {SERVICE} {down_after_ms}",
            f"sentinel parallel-syncs {SERVICE} 2",
        ]
        if master.password:
            lines += [f"sentinel auth-pass {SERVICE} {master.password}"]
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "sentinel.conf"
        self._file.write_text("\n".join(lines) + "\n")

    def words(self) -> list[str]:
        """See `Node`."""
        return [str(self._file), "--sentinel"]

    def knows(self, replicas: int, sentinels: int) -> bool:
        """Whether it has met so many replicas and so many other Sentinels, and all is well."""
        with self.client() as client:
            state: Any = client.sentinel_master(SERVICE)
            listed: Any = client.sentinel_slaves(SERVICE)
        met = (len(listed), state["num-other-sentinels"]) == (replicas, sentinels)
        well = all(replica["flags"] == "slave" for replica in listed)
        return met and well and state["flags"] == "master"

    def has_settled(self) -> bool:
        """Whether it sees a master that is well, and no failover is under way."""
        with self.client() as client:
            state: Any = client.sentinel_master(SERVICE)
        return bool(state["flags"] == "master")

    def master_port(self) -> int:
        """Whom it takes for the master. Raises redis.RedisError."""
        return int(self.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)[1])


class Sentinels:
    """The running processes. Nodes that a test killed stay dead until it starts them again."""

    def __init__(self, nodes: Sequence[Node], sentinels: Sequence[SentinelProcess]) -> None:
        self.nodes = nodes
        self.processes = sentinels

    @property
    def url(self) -> str:
        """As REDIS_URL wants it."""
        hosts = ",".join(sentinel.address for sentinel in self.processes)
        password = self.nodes[0].password
        return f"redis+sentinel://{f':{password}@' if password else ''}{hosts}/{SERVICE}/0"

    def master(self) -> Node:
        """The master, by the word of the first Sentinel that runs.

        Raises:
            redis.ConnectionError: none does.
        """
        awake = next((sentinel for sentinel in self.processes if sentinel.is_awake), None)
        if awake is None:
            raise redis.ConnectionError("no Sentinel runs")
        return node_at(self.nodes, awake.master_port())

    def replicas(self) -> list[Node]:
        """All other nodes, dead or alive."""
        master = self.master()
        return [node for node in self.nodes if node is not master]

    def fail_over(self) -> Node:
        """Has the master's part handed to a replica; returns the new master, once all know it.

        The old master lives, and becomes a replica.
        """
        old = self.master()
        wait_for_nodes(
            lambda: self.processes[0].ask("SENTINEL", "FAILOVER", SERVICE), "a failover began"
        )
        return self.new_master_after(old)

    def new_master_after(self, old: Node) -> Node:
        """The next master, once every living Sentinel names it and it is one."""
        wait_for_nodes(lambda: self._all_follow_another(old), "the Sentinels follow another master")
        return self.master()

    def rejoin(self, node: Node) -> None:
        """Brings a killed or frozen node back, as a replica; returns once the Sentinels know.

        By themselves the Sentinels take their time to turn a master that came back into a replica.
        """
        if node.is_alive:
            node.resume()
        else:
            node.start()
        awake = [sentinel for sentinel in self.processes if sentinel.is_awake]
        others = len(self.nodes) - 1, len(self.processes) - 1
        wait_for_nodes(self._is_followed, "the replicas follow the master")
        wait_for_nodes(
            lambda: all(w.knows(*others) for w in awake), "the Sentinels know that all is well"
        )

    def _is_followed(self) -> bool:
        """Whether all replicas follow the master; has those that do not follow it."""
        master = self.master()
        astray = [node for node in self.replicas() if node.ask("ROLE")[2] != master.port]
        for node in astray:
            node.ask("REPLICAOF", HOST, master.port)
        return not astray and _synchronised(self.replicas())

    def _all_follow_another(self, old: Node) -> bool:
        awake = [sentinel for sentinel in self.processes if sentinel.is_awake]
        ports = {sentinel.master_port() for sentinel in awake}
        agreed = len(ports) == 1 and old.port not in ports and _is_master(self.master())
        # One that were still at it would take the next change for a reason to fail over again.
        return agreed and all(sentinel.has_settled() for sentinel in awake)


@contextmanager
def running(
    folder: Path,
    *,
    options: Mapping[str, str] = NO_OPTIONS,
    password: str | None = None,
    replicas: int = 2,
    down_after_ms: int = 1500,
) -> Iterator[Sentinels]:
    """Runs a master, its replicas and three Sentinels while the block runs; kills them then.

    It takes two to three seconds until the Sentinels have found each other.

    Args:
        folder: for everybody's files and logs; kept afterwards.
        options: of the Redis servers, besides those of `redis_process.arguments`.
        password: of the Redis servers; the Sentinels ask for none.
        replicas: how many.
        down_after_ms: after so many milliseconds without an answer a Sentinel calls a node down.
            Below a second, which is how long it may take to connect to a new master, it calls that
            one down as well, and one failover follows the other.

    Raises:
        discovery.ServerNotFoundError: there is no server to start.
        redis_process.ServerFailedError: one did not come up, or they do not find each other.
    """
    nodes = [Node(folder / f"node-{n}", options, password=password) for n in range(replicas + 1)]
    master = nodes[0]
    with started(nodes):
        for node in nodes[1:]:
            node.ask("REPLICAOF", HOST, master.port)
        wait_for_nodes(lambda: _synchronised(nodes[1:]), "the replicas follow their master")
        sentinels = [
            SentinelProcess(folder / f"sentinel-{n}", master, down_after_ms) for n in range(3)
        ]
        with started(sentinels):
            wait_for_nodes(
                lambda: all(w.knows(replicas, 2) for w in sentinels), "the Sentinels met"
            )
            yield Sentinels(nodes, sentinels)


def _synchronised(replicas: Sequence[Node]) -> bool:
    roles = [node.ask("ROLE") for node in replicas]
    return all(role[0] == "slave" and role[3] == "connected" for role in roles)


def _is_master(node: Node) -> bool:
    return bool(node.ask("ROLE")[0] == "master")
