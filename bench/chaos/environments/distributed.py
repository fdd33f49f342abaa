"""The worlds with each kind of Redis."""

import subprocess
from collections.abc import Mapping
from typing import Any

import psutil
import redis
from redis.cluster import RedisCluster

from bench.chaos.world import World
from testbed.ports import HOST
from testbed.redis_cluster import Cluster
from testbed.redis_nodes import Node, wait_for_nodes
from testbed.redis_sentinel import Sentinels
from testbed.resp_proxy import RespProxy
from testbed.shard_proxy import ShardProxy
from testbed.slow_disk import SlowDisk
from testbed.tcp_proxy import Proxy

# Enough for each of three masters to have some.
PARTITIONS = 6
SHARDED_PARTITIONS = 4


class SingleWorld(World):
    """With one Redis server; behind a proxy, if there is one."""

    def __init__(
        self, node: Node, settings: Mapping[str, str], *, proxy: Proxy | RespProxy | None = None
    ) -> None:
        port = proxy.port if proxy else node.port
        super().__init__({"REDIS_URL": f"redis://127.0.0.1:{port}/0", **settings})
        self.node = node
        self._proxy = proxy

    @property
    def proxy(self) -> Proxy:
        assert isinstance(self._proxy, Proxy), "this world has no such proxy"
        return self._proxy

    @property
    def refusing(self) -> RespProxy:
        assert isinstance(self._proxy, RespProxy), "this world has no such proxy"
        return self._proxy

    def client(self) -> Any:
        return self.node.client()


class SlowDiskWorld(SingleWorld):
    """With a disk for the spool that can be slowed down."""

    def __init__(self, node: Node, settings: Mapping[str, str], disk: SlowDisk) -> None:
        super().__init__(node, settings)
        self.disk = disk


class LogWorld(SingleWorld):
    """With a process that reads the service's log from a pipe."""

    def __init__(
        self, node: Node, settings: Mapping[str, str], reader: "subprocess.Popen[bytes]"
    ) -> None:
        super().__init__(node, settings)
        self.reader = psutil.Process(reader.pid)
        assert reader.stdin
        self.service.stderr = reader.stdin.fileno()


class ShardedWorld(World):
    """With two servers behind one address."""

    def __init__(self, proxy: ShardProxy, settings: Mapping[str, str]) -> None:
        super().__init__({"REDIS_URL": proxy.url, **settings}, partitions=SHARDED_PARTITIONS)
        self._proxy = proxy

    def client(self) -> Any:
        # Each command has one key.
        return redis.Redis(HOST, self._proxy.port, protocol=2, decode_responses=True)


class SentinelWorld(World):
    """With a master, its replicas and three Sentinels."""

    def __init__(self, sentinels: Sentinels) -> None:
        settings = {"REDIS_URL": sentinels.url, "QUEUE_DURABILITY": "replicas:1"}
        super().__init__(settings)
        self.sentinels = sentinels

    def client(self) -> Any:
        return self.sentinels.master().client()

    def wait_until_whole(self) -> None:
        """Returns once every node is there and follows the one master."""
        others = len(self.sentinels.nodes) - 1
        wait_for_nodes(
            lambda: len(self.sentinels.master().ask("ROLE")[2]) == others, "all replicas follow"
        )
        watchers = self.sentinels.watchers
        wait_for_nodes(
            lambda: all(each.knows(others, len(watchers) - 1) for each in watchers), "all know"
        )


class ClusterWorld(World):
    """With three masters and a replica of each; the streams lie on all of them."""

    def __init__(self, cluster: Cluster) -> None:
        settings = {"REDIS_URL": cluster.url, "QUEUE_DURABILITY": "replicas:1"}
        super().__init__(settings, partitions=PARTITIONS)
        self.cluster = cluster

    def client(self) -> Any:
        return RedisCluster(HOST, self.cluster.masters()[0].port, decode_responses=True)

    def wait_until_whole(self) -> None:
        """Returns once each master has its replica."""
        wait_for_nodes(
            lambda: all(map(_is_paired, self.cluster.nodes)), "each master has its replica"
        )


def _is_paired(node: Node) -> bool:
    role = node.ask("ROLE")
    return role[3] == "connected" if role[0] == "slave" else len(role[2]) == 1
