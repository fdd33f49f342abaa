"""The worlds that faults need: which processes there are, and how the service is set."""

import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from bench.chaos.world import World
from bench.chaos.worlds import (
    ClusterWorld,
    LogWorld,
    SentinelWorld,
    ShardedWorld,
    SingleWorld,
    SlowDiskWorld,
)
from testbed import redis_cluster, redis_sentinel
from testbed.redis_nodes import Node, started
from testbed.resp_proxy import RespProxy
from testbed.shard_proxy import ShardProxy
from testbed.slow_disk import SlowDisk
from testbed.tcp_proxy import Proxy

# Takes a folder, and settings of the service for a world with one Redis; one with several has its own.
Stage = Callable[[Path, Mapping[str, str]], AbstractContextManager[World]]

SMALL_JOURNAL = str(2**18)
SMALL_DISK = "4m"
# Fewer than there are senders of what is refused.
FEW_CLIENTS = "40"


@contextmanager
def single(folder: Path, settings: Mapping[str, str]) -> Iterator[World]:
    """The service and one Redis."""
    node = Node(folder / "redis", {})
    world = SingleWorld(node, settings)
    with started([node]), world.running():
        yield world


@contextmanager
def proxied(folder: Path, settings: Mapping[str, str]) -> Iterator[World]:
    """Likewise, with a proxy between them."""
    node = Node(folder / "redis", {})
    with started([node]), Proxy(node.port).running() as proxy:
        world = SingleWorld(node, settings, proxy=proxy)
        with world.running():
            yield world


@contextmanager
def refusing(folder: Path, settings: Mapping[str, str]) -> Iterator[World]:
    """With a proxy between them that reads requests, and may refuse some."""
    node = Node(folder / "redis", {})
    with started([node]), RespProxy(node.port).running() as proxy:
        world = SingleWorld(node, settings, proxy=proxy)
        with world.running():
            yield world


@contextmanager
def small_journal(folder: Path, settings: Mapping[str, str]) -> Iterator[World]:
    """With a spool that is full soon."""
    with single(folder, {**settings, "SPOOL_MAX_BYTES": SMALL_JOURNAL}) as world:
        yield world


@contextmanager
def small_disk(folder: Path, settings: Mapping[str, str]) -> Iterator[World]:
    """With the spool on a disk that is full soon, long before SPOOL_MAX_BYTES."""
    spool = folder / "spool"
    with mounted(spool), single(folder, {**settings, "SPOOL_DIR": str(spool)}) as world:
        yield world


@contextmanager
def slow_disk(folder: Path, settings: Mapping[str, str]) -> Iterator[World]:
    """With the spool on a disk whose syncs can be slowed down."""
    spool, node = folder / "spool", Node(folder / "redis", {})
    with SlowDisk(spool) as disk, started([node]):
        world = SlowDiskWorld(node, {**settings, **disk.environ, "SPOOL_DIR": str(spool)}, disk)
        with world.running():
            yield world


@contextmanager
def sharded(folder: Path, settings: Mapping[str, str]) -> Iterator[World]:
    """Two servers behind one address, and four partitions."""
    nodes = [Node(folder / f"redis-{number}", {}) for number in range(2)]
    with started(nodes), ShardProxy([node.port for node in nodes]).running() as proxy:
        world = ShardedWorld(proxy, settings)
        with world.running():
            yield world


@contextmanager
def ahead(folder: Path, settings: Mapping[str, str]) -> Iterator[World]:
    """A world of its own: an id that is ahead stays so."""
    with single(folder, settings) as world:
        yield world


@contextmanager
def few_clients(folder: Path, settings: Mapping[str, str]) -> Iterator[World]:
    """With a Redis that takes few clients."""
    node = Node(folder / "redis", {"maxclients": FEW_CLIENTS})
    world = SingleWorld(node, settings)
    with started([node]), world.running():
        yield world


@contextmanager
def kept_metrics(folder: Path, settings: Mapping[str, str]) -> Iterator[World]:
    """With a folder of metrics that the service did not make and does not remove."""
    metrics = folder / "metrics"
    metrics.mkdir()
    with single(folder, {**settings, "PROMETHEUS_MULTIPROC_DIR": str(metrics)}) as world:
        yield world


@contextmanager
def read_log(folder: Path, settings: Mapping[str, str]) -> Iterator[World]:
    """With a process that reads the log, and a line for each message."""
    node = Node(folder / "redis", {})
    with (
        started([node]),
        subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as reader,
    ):
        world = LogWorld(node, {**settings, "LOG_LEVEL": "info"}, reader)
        try:
            with world.running():
                yield world
        finally:
            reader.kill()


@contextmanager
def unread_log(folder: Path, settings: Mapping[str, str]) -> Iterator[World]:
    """With a process that never reads the log."""
    with read_log(folder, settings) as world:
        assert isinstance(world, LogWorld)
        world.reader.suspend()
        yield world


@contextmanager
def mounted(folder: Path) -> Iterator[None]:
    """A small file system in memory.

    Raises:
        subprocess.CalledProcessError: it may not be mounted, as a rule because we are not root.
    """
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", str(folder)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield
    finally:
        # Lazily: the last thread of a killed process may hold a file for a moment after its end shows.
        subprocess.run(["umount", "--lazy", folder], check=True)


def can_mount() -> bool:
    """Finds out by doing it."""
    with tempfile.TemporaryDirectory(prefix="fota-") as folder:
        try:
            with mounted(Path(folder, "disk")):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


@contextmanager
def sentinel(folder: Path, _: Mapping[str, str]) -> Iterator[World]:
    """A master, two replicas, three Sentinels; QUEUE_DURABILITY=replicas:1."""
    with redis_sentinel.running(folder / "redis") as sentinels:
        world = SentinelWorld(sentinels)
        with world.running():
            yield world


@contextmanager
def cluster(folder: Path, _: Mapping[str, str]) -> Iterator[World]:
    """Three masters with a replica each; QUEUE_DURABILITY=replicas:1, six partitions."""
    with redis_cluster.running(folder / "redis") as nodes:
        world = ClusterWorld(nodes)
        with world.running():
            yield world
