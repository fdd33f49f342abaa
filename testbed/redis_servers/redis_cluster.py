"""A Redis Cluster, by default of three masters with a replica each, all real processes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import redis
from redis.crc import key_slot

from testbed.ports import HOST
from testbed.redis_servers.redis_nodes import Node, node_at, started, wait_for_nodes

SLOTS = 16_384
MASTERS = 3
NO_OPTIONS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class SlotRange:
    """A range of slots, and the ports of the nodes that hold it, the master first."""

    slots: range
    ports: tuple[int, ...]


class Cluster:
    """The running processes. Nodes that a test killed stay dead until it starts them again."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes

    @property
    def url(self) -> str:
        """As REDIS_URL wants it."""
        hosts = ",".join(node.address for node in self.nodes)
        password = self.nodes[0].password
        return f"redis+cluster://{f':{password}@' if password else ''}{hosts}"

    def master_of(self, key: str) -> Node:
        """The master that serves a key, by the word of the first node that runs.

        Raises:
            redis.ConnectionError: no node runs, or nobody serves the key.
        """
        slot = key_slot(key.encode())
        for each in self._slot_ranges():
            if slot in each.slots:
                return node_at(self.nodes, each.ports[0])
        raise redis.ConnectionError("nobody serves the key")

    def replica_of(self, master: Node) -> Node:
        """The first replica of a master."""
        for each in self._slot_ranges():
            if each.ports[0] == master.port and len(each.ports) > 1:
                return node_at(self.nodes, each.ports[1])
        raise redis.ConnectionError("the master has no replica")

    def masters(self) -> list[Node]:
        """Everybody who serves a slot."""
        return [
            node_at(self.nodes, port)
            for port in sorted({each.ports[0] for each in self._slot_ranges()})
        ]

    def fail_over(self, key: str) -> Node:
        """Has a replica take the part of the key's master, without loss; returns it.

        The old master lives, and becomes a replica.
        """
        old = self.master_of(key)
        wait_for_nodes(lambda: self.replica_of(old).ask("CLUSTER", "FAILOVER"), "a failover began")
        return self.new_master_after(old, key)

    def new_master_after(self, old: Node, key: str) -> Node:
        """The key's next master, once every living node names it and calls the Cluster whole."""
        wait_for_nodes(
            lambda: self._all_follow_another(old, key), "the nodes follow another master"
        )
        return self.master_of(key)

    def move_slot(self, key: str, target: Node) -> None:
        """Moves the slot of a key, with all keys in it, to another master, as resharding does."""
        source = self.begin_move(key, target)
        self.end_move(key, source, target)

    def begin_move(self, key: str, target: Node) -> Node:
        """Declares the slot of a key as being moved, and moves no key yet; returns its master."""
        source, slot = self.master_of(key), key_slot(key.encode())
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.ask("CLUSTER", "MYID"))
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.ask("CLUSTER", "MYID"))
        return source

    def end_move(self, key: str, source: Node, target: Node) -> None:
        """Moves the keys; then its new master learns that the slot is its own, and all others."""
        slot, node_id = key_slot(key.encode()), target.ask("CLUSTER", "MYID")
        secret = ("AUTH", source.password) if source.password else ()
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 100):
            source.ask("MIGRATE", HOST, target.port, "", 0, 5000, *secret, "KEYS", *keys)
        for master in (target, source, *self.masters()):
            master.ask("CLUSTER", "SETSLOT", slot, "NODE", node_id)

    def rejoin(self, node: Node) -> None:
        """Brings a killed or frozen node back; returns once the Cluster is as it was in the beginning.

        It comes back as a replica of whoever took its part.
        """
        if node.is_alive:
            node.resume()
        else:
            node.start()
        self.await_pairs()

    def await_pairs(self) -> None:
        """Returns once the Cluster is whole, and every node knows of every replica."""
        self.await_whole()
        wait_for_nodes(
            lambda: all(map(_sees_pairs, self.nodes)), "everybody knows of every replica"
        )

    def await_whole(self) -> None:
        """Returns once every node knows that all slots are served."""
        wait_for_nodes(lambda: all(map(_is_whole, self.nodes)), "the Cluster is whole")

    def _all_follow_another(self, old: Node, key: str) -> bool:
        slot = key_slot(key.encode())
        awake = [node for node in self.nodes if node.is_awake]
        ports = {
            each.ports[0] for node in awake for each in slot_ranges(node) if slot in each.slots
        }
        return len(ports) == 1 and old.port not in ports and all(map(_is_whole, awake))

    def _slot_ranges(self) -> list[SlotRange]:
        awake = next((node for node in self.nodes if node.is_awake), None)
        if awake is None:
            raise redis.ConnectionError("no node runs")
        return slot_ranges(awake)


@contextmanager
def running(
    folder: Path,
    *,
    options: Mapping[str, str] = NO_OPTIONS,
    password: str | None = None,
    node_timeout_ms: int = 1000,
    masters: int = MASTERS,
    with_replicas: bool = True,
) -> Iterator[Cluster]:
    """Runs masters, by default three with a replica each, while the block runs; kills them then.

    It takes three to five seconds until they have found each other.

    Args:
        folder: for everybody's files and logs; kept afterwards.
        options: of the servers, besides those of `redis_process.arguments`.
        password: of the servers.
        node_timeout_ms: after so many milliseconds without an answer a node counts as down.
        masters: their number; each serves an equal share of the slots.
        with_replicas: whether each has a replica.

    Raises:
        discovery.ServerNotFoundError: there is no server to start.
        redis_process.ServerFailedError: one did not come up, or they do not find each other.
    """
    all_options = {
        "cluster-enabled": "yes",
        "cluster-node-timeout": str(node_timeout_ms),
        **options,
    }
    count = masters * 2 if with_replicas else masters
    nodes = [Node(folder / f"node-{n}", all_options, password=password) for n in range(count)]
    with started(nodes):
        _introduce(nodes)
        _assign(nodes[:masters])
        cluster = Cluster(nodes)
        if with_replicas:
            for master, replica in zip(nodes[:masters], nodes[masters:], strict=True):
                replica.ask("CLUSTER", "REPLICATE", master.ask("CLUSTER", "MYID"))
            cluster.await_pairs()
        else:
            cluster.await_whole()
        yield cluster


def slot_ranges(node: Node) -> list[SlotRange]:
    """The Cluster as a node sees it. Raises redis.RedisError."""
    return [
        SlotRange(range(first, last + 1), tuple(port for _, port, *_ in nodes))
        for first, last, *nodes in node.ask("CLUSTER", "SLOTS")
    ]


def _introduce(nodes: Sequence[Node]) -> None:
    for epoch, node in enumerate(nodes, 1):
        # Distinct from the start, so that they need not agree on it while they meet.
        node.ask("CLUSTER", "SET-CONFIG-EPOCH", epoch)
    for node in nodes:
        node.ask("CLUSTER", "MEET", HOST, nodes[0].port)
    wait_for_nodes(lambda: all(_has_met(node, len(nodes)) for node in nodes), "the nodes met")


def _assign(masters: Sequence[Node]) -> None:
    bounds = [SLOTS * number // len(masters) for number in range(len(masters) + 1)]
    for master, first, beyond in zip(masters, bounds, bounds[1:], strict=False):
        # One by one: Redis 6.2 does not know ranges.
        master.ask("CLUSTER", "ADDSLOTS", *range(first, beyond))


def _has_met(node: Node, count: int) -> bool:
    lines = node.ask("CLUSTER", "NODES").splitlines()
    return len(lines) == count and not any("handshake" in line for line in lines)


def _is_whole(node: Node) -> bool:
    return "cluster_state:ok" in node.ask("CLUSTER", "INFO")


def _sees_pairs(node: Node) -> bool:
    role = node.ask("ROLE")
    linked = role[0] == "master" or role[3] == "connected"
    return linked and all(len(each.ports) == 2 for each in slot_ranges(node))
