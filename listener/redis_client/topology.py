"""Which node of a Redis Cluster serves which slot: redis-py's map, read when needed and within a time limit."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import redis
from redis.cluster import PRIMARY, ClusterNode, NodesManager
from redis.crc import key_slot
from redis.exceptions import AskError, MovedError, RedisClusterException, SlotNotCoveredError

from listener.settings.redis_url import Address

Connect = Callable[[str, int], "redis.Redis"]
"""Makes the client of one node, as of a single server."""


class Topology(NodesManager):
    """redis-py's map of the slots, their nodes and the nodes' clients. Threads share it.

    redis-py reads the map when it is made, although a worker has to start while Redis is away, and it asks
    the nodes in random order until one answers, however many hang. Here the map is read before it is first
    used and after it proved wrong: from one node after the other, suspects last, and within a time limit.
    The map may be out of date: a node that is asked for a slot that it does not serve says so.
    """

    def __init__(self, seeds: Sequence[Address], connect: Connect, timeout_s: float) -> None:
        """Connects to nothing yet.

        Args:
            seeds: some nodes' addresses.
            connect: makes the clients.
            timeout_s: after this time no further node is asked for the map.
        """
        self._seeds = tuple(seeds)
        self._connect = connect
        self._timeout_s = timeout_s
        self._order = list(seeds)
        self._is_current = False
        super().__init__([], dynamic_startup_nodes=False)

    def initialize(self, *args: Any, **options: Any) -> None:
        """Called by redis-py when the map is made. It is read when it is needed: see `_read`."""

    def create_redis_node(self, host: str, port: int, **_: Any) -> "redis.Redis":
        """Called by redis-py: the client of a node."""
        client = self._connect(host, port)
        client.set_response_callback("CLUSTER SLOTS", partial(_with_hosts, host))
        return client

    def master(self, key: Any) -> ClusterNode:
        """The master of a key's slot.

        Raises:
            redis.RedisError: no node answers, or none serves the slot.
        """
        self._read_if_outdated()
        slot = key_slot(key if isinstance(key, bytes) else str(key).encode())
        try:
            return self.get_node_from_slot(slot)
        except SlotNotCoveredError as error:
            self.forget()
            raise redis.ConnectionError(f"no master of the Cluster serves slot {slot}") from error

    def masters(self) -> list[ClusterNode]:
        """Every master, in the order of their addresses. Raises redis.RedisError."""
        self._read_if_outdated()
        nodes = self.get_nodes_by_server_type("primary")
        return sorted(nodes, key=lambda node: (node.host, node.port))

    def redirected(self, error: AskError, sender: ClusterNode) -> ClusterNode:
        """The node that MOVED or ASK names; MOVED also changes the map."""
        error.host = error.host or sender.host
        node = self._node((error.host, error.port))
        with self._lock:
            if isinstance(error, MovedError) and error.slot_id in self.slots_cache:
                self.move_slot(error)
        return node

    def forget(self, suspect: ClusterNode | None = None) -> None:
        """Has the map read anew before its next use; a suspect is asked last."""
        self._is_current = False
        if suspect:
            self._ask_last((suspect.host, suspect.port))

    def _node(self, address: Address) -> ClusterNode:
        """The node at an address, with its client; always the same while it belongs to the Cluster."""
        with self._lock:
            node = self.get_node(*address)
            if node is None:
                # redis-py looks `localhost` up; the client keeps the name, which a certificate may be for.
                client = self.create_redis_node(*address)
                node = ClusterNode(*address, PRIMARY, client)  # type: ignore[no-untyped-call]
                self.nodes_cache[node.name] = node
            return node

    def _read_if_outdated(self) -> None:
        if self._is_current:
            return
        with self._initialization_lock:
            # Another thread may have read it meanwhile.
            if not self._is_current:
                self._read()
                self._is_current = True

    def _read(self) -> None:
        deadline = time.monotonic() + self._timeout_s
        problem: BaseException | None = None
        for address in tuple(self._order):
            try:
                node = self._node(address)
                self.startup_nodes = {node.name: node}
                super().initialize(disconnect_startup_nodes_pools=False)
            except (RedisClusterException, OSError) as error:
                problem = _cause(error)
                self._ask_last(address)
            else:
                self._add_known_addresses()
                return
            if time.monotonic() > deadline:
                break
        raise redis.ConnectionError(f"no node of the Cluster answers: {problem}") from problem

    def _ask_last(self, address: Address) -> None:
        self._order = [*(other for other in self._order if other != address), address]

    def _add_known_addresses(self) -> None:
        nodes = self.get_nodes_by_server_type("primary")
        known = {*self._seeds, *((node.host, node.port) for node in nodes)}
        order = [address for address in self._order if address in known]
        self._order = [*order, *sorted(known.difference(order))]


def _with_hosts(asked: str, rows: Any, **_: Any) -> list[list[Any]]:
    """CLUSTER SLOTS with the host of each node; where it is empty or missing it is the one that was asked.

    Args:
        asked: the host of the node that replied.
        rows: of first slot, last slot, master, replicas; each node of host, port, ….

    Raises:
        redis.ResponseError: there are no rows, as from a node that has left the Cluster.
    """
    if not rows:
        raise redis.ResponseError("the node knows of no slots")
    return [
        [first, last, *([host or asked, *rest] for host, *rest in nodes)]
        for first, last, *nodes in rows
    ]


def _cause(error: BaseException) -> BaseException:
    """What a node replied, or why it did not: redis-py chains it to an error that says neither."""
    inner: BaseException | None = error
    while inner and not isinstance(inner, redis.RedisError):
        inner = inner.__cause__ or inner.__context__
    return inner or error
