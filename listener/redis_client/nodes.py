"""Which node of a Redis Cluster serves which slot, and a client for each node."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS

from listener.settings.redis_url import Address

Table = list[Address | None]
"""The master of each slot; None where the Cluster has none."""


class Nodes:
    """What is known of the Cluster; it is asked for when needed, and after it proved wrong.

    Threads share it. What it says may be out of date: a node that is asked for a slot that it does
    not serve says so.
    """

    def __init__(
        self,
        seeds: Sequence[Address],
        connect: Callable[[str, int], "redis.Redis"],
        timeout_s: float,
    ) -> None:
        """Connects to nothing yet.

        Args:
            seeds: some nodes' addresses.
            connect: makes the client of one node, as a single server.
            timeout_s: after so many seconds no further node is asked about the Cluster.
        """
        self._seeds = tuple(seeds)
        self._connect = connect
        self._timeout_s = timeout_s
        self._order = list(self._seeds)
        self._clients: dict[Address, redis.Redis] = {}
        self._table: Table | None = None
        self._lock = threading.Lock()

    def master(self, slot: int) -> Address:
        """The address of a slot's master.

        Raises:
            redis.RedisError: no node answers, or nobody serves the slot.
        """
        found = self._known()[slot]
        if found is None:
            self.forget()
            raise redis.ConnectionError(f"no master of the Cluster serves slot {slot}")
        return found

    def masters(self) -> list[Address]:
        """Every master's address. Raises redis.RedisError."""
        return sorted({address for address in self._known() if address})

    def client(self, address: Address) -> "redis.Redis":
        """A node's client; always the same."""
        return self._clients.get(address) or self._clients.setdefault(
            address, self._connect(*address)
        )

    def moved(self, slot: int, address: Address) -> None:
        """Notes what a node said about a slot: it is moved once for all, not for all slots."""
        if table := self._table:
            table[slot] = address

    def forget(self, suspect: Address | None = None) -> None:
        """Has the Cluster asked anew before the next use; a suspect is asked last."""
        self._table = None
        if suspect:
            self._order = [*(at for at in self._order if at != suspect), suspect]

    def close(self) -> None:
        """Closes every connection."""
        for client in self._clients.values():
            client.close()

    def _known(self) -> Table:
        if table := self._table:
            return table
        with self._lock:
            # Another thread may have asked meanwhile.
            self._table = table = self._table or self._ask()
            return table

    def _ask(self) -> Table:
        deadline = time.monotonic() + self._timeout_s
        problem: Exception = redis.ConnectionError("no time")
        for address in tuple(self._order):
            try:
                rows = self.client(address).execute_command("CLUSTER", "SLOTS")  # type: ignore[no-untyped-call]
                table = _table(rows, address)
            except redis.RedisError as error:
                problem = error
                self.forget(address)
            else:
                self._keep({*self._seeds, *filter(None, table)})
                return table
            if time.monotonic() > deadline:
                break
        raise redis.ConnectionError(f"no node of the Cluster answers: {problem}") from problem

    def _keep(self, addresses: set[Address]) -> None:
        """Drops the nodes that have left; a client still at work there is closed when it ends."""
        old = [address for address in self._order if address in addresses]
        self._order = [*old, *sorted(addresses.difference(old))]
        self._clients = {at: client for at, client in self._clients.items() if at in addresses}


def _table(rows: Any, asked: Address) -> Table:
    """Reads CLUSTER SLOTS: rows of first slot, last slot, master, replicas; each host, port, ….

    Raises:
        redis.ResponseError: there are no rows, as of a node that has left the Cluster.
    """
    table: Table = [None] * REDIS_CLUSTER_HASH_SLOTS
    if not rows:
        raise redis.ResponseError("the node knows of no slots")
    for first, last, (host, port, *_), *_ in rows:
        name = host.decode() if isinstance(host, bytes) else host
        # Empty or missing: the host that was asked.
        address = (name or asked[0], int(port))
        table[first : last + 1] = [address] * (last + 1 - first)
    return table
