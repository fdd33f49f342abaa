"""Environments with several Redis servers: sharded behind a proxy, under Sentinel, a Cluster."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from redis.cluster import RedisCluster

from bench.chaos.environments.environment import Environment
from testbed.ports import HOST
from testbed.proxies.shard_proxy import ShardProxy
from testbed.redis_servers import redis_cluster, redis_sentinel
from testbed.redis_servers.redis_cluster import Cluster
from testbed.redis_servers.redis_nodes import Node, started, wait_for_nodes
from testbed.redis_servers.redis_sentinel import Sentinels

# Enough for each of three masters to have some.
CLUSTER_PARTITIONS = 6
SHARDED_PARTITIONS = 4


class ShardedEnvironment(Environment):
    """Two servers behind one address."""

    def __init__(self, proxy: ShardProxy, settings: Mapping[str, str]) -> None:
        super().__init__({"REDIS_URL": proxy.url, **settings}, partitions=SHARDED_PARTITIONS)
        self._proxy = proxy

    def client(self) -> Any:
        # Each command has one key.
        return redis.Redis(HOST, self._proxy.port, protocol=2, decode_responses=True)


class SentinelEnvironment(Environment):
    """A master, its replicas and three Sentinels."""

    def __init__(self, sentinels: Sentinels) -> None:
        super().__init__({"REDIS_URL": sentinels.url, "QUEUE_DURABILITY": "replicas:1"})
        self.sentinels = sentinels

    def client(self) -> Any:
        return self.sentinels.master().client()

    def wait_until_healthy(self) -> None:
        """Returns once every node runs, the replicas follow the master, and the Sentinels know."""
        others = len(self.sentinels.nodes) - 1
        wait_for_nodes(
            lambda: len(self.sentinels.master().ask("ROLE")[2]) == others, "all replicas follow"
        )
        processes = self.sentinels.processes
        wait_for_nodes(
            lambda: all(each.knows(others, len(processes) - 1) for each in processes), "all know"
        )


class ClusterEnvironment(Environment):
    """Three masters with a replica each; the streams are spread over all of them."""

    def __init__(self, cluster: Cluster) -> None:
        settings = {"REDIS_URL": cluster.url, "QUEUE_DURABILITY": "replicas:1"}
        super().__init__(settings, partitions=CLUSTER_PARTITIONS)
        self.cluster = cluster

    def client(self) -> Any:
        return RedisCluster(HOST, self.cluster.masters()[0].port, decode_responses=True)

    def wait_until_healthy(self) -> None:
        """Returns once each master has its replica."""
        wait_for_nodes(
            lambda: all(map(_is_paired, self.cluster.nodes)), "each master has its replica"
        )


def _is_paired(node: Node) -> bool:
    role = node.ask("ROLE")
    return role[3] == "connected" if role[0] == "slave" else len(role[2]) == 1


@contextmanager
def sharded(folder: Path, settings: Mapping[str, str]) -> Iterator[Environment]:
    """Two servers behind one address, and four partitions."""
    nodes = [Node(folder / f"redis-{number}", {}) for number in range(2)]
    with started(nodes), ShardProxy([node.port for node in nodes]).running() as proxy:
        environment = ShardedEnvironment(proxy, settings)
        with environment.running():
            yield environment


@contextmanager
def sentinel(folder: Path, _: Mapping[str, str]) -> Iterator[Environment]:
    """A master, two replicas, three Sentinels; QUEUE_DURABILITY=replicas:1."""
    with redis_sentinel.running(folder / "redis") as sentinels:
        environment = SentinelEnvironment(sentinels)
        with environment.running():
            yield environment


@contextmanager
def cluster(folder: Path, _: Mapping[str, str]) -> Iterator[Environment]:
    """Three masters with a replica each; QUEUE_DURABILITY=replicas:1, six partitions."""
    with redis_cluster.running(folder / "redis") as nodes:
        environment = ClusterEnvironment(nodes)
        with environment.running():
            yield environment
