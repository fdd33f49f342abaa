"""The Redis of a measurement: runs it, and checks that it holds what was answered."""

import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import redis

from bench.errors import BenchError
from bench.rig import environment
from testbed.ports import free_port
from testbed.redis_servers import redis_process
from testbed.redis_servers.redis_cluster import Cluster
from testbed.redis_servers.redis_nodes import Node

# The fields that differ from run to run.
VOLATILE_FIELDS = ("time", "requestid")
SAMPLE = 1000
MIN_COMMON = 50
SETTLE_TIMEOUT_S = 20.0
QUIET_S = 0.3


@dataclass(frozen=True)
class Store:
    """A running Redis, or a Cluster: then with a client for the master of each partition."""

    url: str
    clients: "Sequence[redis.Redis]"

    @property
    def client(self) -> "redis.Redis":
        """Of the first partition."""
        return self.clients[0]

    def processes(self) -> list[psutil.Process]:
        """Of its masters, without their children, which rewrite files."""
        pids = {client.info("server")["process_id"] for client in self.clients}
        return [psutil.Process(pid) for pid in sorted(pids)]

    def length(self) -> int:
        """The number of messages in all partitions."""
        keys = (stream_key(number) for number in range(len(self.clients)))
        pairs = zip(self.clients, keys, strict=True)
        return sum(int(client.xlen(key)) for client, key in pairs)

    def settle(self) -> None:
        """Returns once no more messages arrive."""
        _settled_length(self, 0)


@contextmanager
def running(fsync: str) -> Iterator[Store]:
    """Runs an empty Redis with an append-only file, on the disk of var/, while the block runs.

    The file is not rewritten meanwhile, which would slow down one contender and not the other.

    Args:
        fsync: Redis's `appendfsync`.
    """
    environment.VAR.mkdir(parents=True, exist_ok=True)
    options = {
        "appendfsync": fsync,
        "auto-aof-rewrite-percentage": "0",
        # As docs/scaling.md recommends.
        "stream-node-max-bytes": "16384",
    }
    with (
        tempfile.TemporaryDirectory(prefix="redis-", dir=environment.VAR) as folder,
        redis_process.running(Path(folder), port=free_port(), options=options) as url,
        redis.Redis.from_url(url, decode_responses=True, protocol=2) as client,
    ):
        yield Store(url, [client])


@contextmanager
def of_cluster(cluster: Cluster, partitions: int) -> Iterator[Store]:
    """The Cluster, emptied, as the store of some partitions."""
    for master in cluster.masters():
        master.ask("FLUSHALL", "SYNC")
    masters = [cluster.master_of(stream_key(number)) for number in range(partitions)]
    clients = [master.client() for master in masters]
    try:
        yield Store(cluster.url, clients)
    finally:
        for client in clients:
            client.close()


@contextmanager
def of_node(node: Node) -> Iterator[Store]:
    """A running server as a store."""
    url = f"redis://{node.address}/0"
    with redis.Redis.from_url(url, decode_responses=True, protocol=2) as client:
        yield Store(url, [client])


def stream_key(partition: int) -> str:
    """The key of a partition's stream."""
    return f"{{fota:{partition}}}:messages"


def check_count(store: Store, before: int, kept: int, *, in_flight: int) -> int:
    """Checks that each 200 is an entry; returns how many entries were added.

    Args:
        store: the Redis.
        before: the number of messages before.
        kept: the number of answers of 200.
        in_flight: how many more entries there may be: requests whose answers nobody waited for.

    Raises:
        BenchError: there are fewer, or more.
    """
    added = _settled_length(store, before + kept) - before
    if not kept <= added <= kept + in_flight:
        raise BenchError(f"{kept} were answered 200, and {added} entries were added")
    return added


def sample(store: Store) -> dict[str, dict[str, Any]]:
    """The first entries by message id, without what differs from run to run."""
    entries: Any = store.client.xrange(stream_key(0), count=SAMPLE)
    return dict(_comparable(fields) for _, fields in entries)


def check_same(expected: Mapping[str, Any], actual: Mapping[str, Any]) -> None:
    """Checks that two contenders made the same entries of the same messages.

    Raises:
        BenchError: they did not, or have too few messages in common.
    """
    common = expected.keys() & actual.keys()
    if len(common) < MIN_COMMON:
        raise BenchError(f"only {len(common)} messages in common: the fingerprints differ")
    for message_id in common:
        if expected[message_id] != actual[message_id]:
            raise BenchError(f"{expected[message_id]} is not {actual[message_id]}")


def _comparable(fields: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    kept: dict[str, Any] = {
        name: text for name, text in fields.items() if name not in VOLATILE_FIELDS
    }
    # The order of members has no meaning.
    kept["data"] = json.loads(kept["data"])
    return fields["id"], {**kept, "fields": sorted(fields)}


def _settled_length(store: Store, expected: int) -> int:
    """The number of messages, once it has reached `expected` and does not change any more."""
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    last, since = -1, time.monotonic()
    while time.monotonic() < deadline:
        length = store.length()
        if length != last:
            last, since = length, time.monotonic()
        elif length >= expected and time.monotonic() - since >= QUIET_S:
            break
        time.sleep(0.05)
    return last
