"""Environments with one Redis server: alone or behind a proxy, with a small, slow or shared disk."""

import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from bench.chaos.environments.environment import Environment
from testbed.proxies.resp_proxy import RespProxy
from testbed.proxies.tcp_proxy import TcpProxy
from testbed.redis_servers.redis_nodes import Node, started
from testbed.slow_disk import SlowDisk

SMALL_SPOOL_BYTES = 2**18
SMALL_DISK = "4m"
# Fewer than the number of concurrent senders of refused requests.
FEW_CLIENTS = "40"


class SingleEnvironment(Environment):
    """One Redis server, and a proxy before it if one is given."""

    def __init__(
        self, node: Node, settings: Mapping[str, str], *, proxy: TcpProxy | RespProxy | None = None
    ) -> None:
        port = proxy.port if proxy else node.port
        super().__init__({"REDIS_URL": f"redis://127.0.0.1:{port}/0", **settings})
        self.node = node
        self._proxy = proxy

    @property
    def tcp_proxy(self) -> TcpProxy:
        assert isinstance(self._proxy, TcpProxy), "this environment has no such proxy"
        return self._proxy

    @property
    def resp_proxy(self) -> RespProxy:
        assert isinstance(self._proxy, RespProxy), "this environment has no such proxy"
        return self._proxy

    def client(self) -> Any:
        return self.node.client()


class SlowDiskEnvironment(SingleEnvironment):
    """The spool's disk can be slowed down."""

    def __init__(self, node: Node, settings: Mapping[str, str], disk: SlowDisk) -> None:
        super().__init__(node, settings)
        self.disk = disk


class PipedLogEnvironment(SingleEnvironment):
    """A process reads the service's log from a pipe."""

    def __init__(
        self, node: Node, settings: Mapping[str, str], reader: "subprocess.Popen[bytes]"
    ) -> None:
        super().__init__(node, settings)
        self.reader = psutil.Process(reader.pid)
        assert reader.stdin
        self.service.stderr = reader.stdin.fileno()


@contextmanager
def single(
    folder: Path, settings: Mapping[str, str], options: Mapping[str, str] | None = None
) -> Iterator[Environment]:
    """The service and one Redis, which may have options of its own."""
    node = Node(folder / "redis", options or {})
    environment = SingleEnvironment(node, settings)
    with started([node]), environment.running():
        yield environment


@contextmanager
def tcp_proxied(folder: Path, settings: Mapping[str, str]) -> Iterator[Environment]:
    """A proxy stands before Redis that resets, delays and drops."""
    node = Node(folder / "redis", {})
    with started([node]), TcpProxy(node.port).running() as proxy:
        environment = SingleEnvironment(node, settings, proxy=proxy)
        with environment.running():
            yield environment


@contextmanager
def resp_proxied(folder: Path, settings: Mapping[str, str]) -> Iterator[Environment]:
    """A proxy stands before Redis that reads requests and may refuse some."""
    node = Node(folder / "redis", {})
    with started([node]), RespProxy(node.port).running() as proxy:
        environment = SingleEnvironment(node, settings, proxy=proxy)
        with environment.running():
            yield environment


@contextmanager
def small_spool(folder: Path, settings: Mapping[str, str]) -> Iterator[Environment]:
    """The spool is full soon."""
    small = {**settings, "SPOOL_MAX_BYTES": str(SMALL_SPOOL_BYTES)}
    with single(folder, small) as environment:
        yield environment


@contextmanager
def small_disk(folder: Path, settings: Mapping[str, str]) -> Iterator[Environment]:
    """The spool's disk is full long before SPOOL_MAX_BYTES is reached."""
    spool = folder / "spool"
    on_disk = {**settings, "SPOOL_DIR": str(spool)}
    with mounted(spool), single(folder, on_disk) as environment:
        yield environment


@contextmanager
def slow_disk(folder: Path, settings: Mapping[str, str]) -> Iterator[Environment]:
    """The spool is on a disk whose syncs can be slowed down."""
    spool, node = folder / "spool", Node(folder / "redis", {})
    with SlowDisk(spool) as disk, started([node]):
        on_disk = {**settings, **disk.environ, "SPOOL_DIR": str(spool)}
        environment = SlowDiskEnvironment(node, on_disk, disk)
        with environment.running():
            yield environment


@contextmanager
def id_ahead(folder: Path, settings: Mapping[str, str]) -> Iterator[Environment]:
    """Shared with no other fault, because a stream's last id never decreases."""
    with single(folder, settings) as environment:
        yield environment


@contextmanager
def few_clients(folder: Path, settings: Mapping[str, str]) -> Iterator[Environment]:
    """Redis accepts few clients."""
    with single(folder, settings, {"maxclients": FEW_CLIENTS}) as environment:
        yield environment


@contextmanager
def kept_metrics(folder: Path, settings: Mapping[str, str]) -> Iterator[Environment]:
    """The folder of the metrics is not the service's own, so it is kept between starts."""
    metrics = folder / "metrics"
    metrics.mkdir()
    kept = {**settings, "PROMETHEUS_MULTIPROC_DIR": str(metrics)}
    with single(folder, kept) as environment:
        yield environment


@contextmanager
def piped_log(folder: Path, settings: Mapping[str, str]) -> Iterator[Environment]:
    """A process reads the log, which has a line for each message."""
    node = Node(folder / "redis", {})
    with (
        started([node]),
        subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as reader,
    ):
        environment = PipedLogEnvironment(node, {**settings, "LOG_LEVEL": "info"}, reader)
        try:
            with environment.running():
                yield environment
        finally:
            reader.kill()


@contextmanager
def unread_log(folder: Path, settings: Mapping[str, str]) -> Iterator[Environment]:
    """A process is there to read the log and never does."""
    with piped_log(folder, settings) as environment:
        assert isinstance(environment, PipedLogEnvironment)
        environment.reader.suspend()
        yield environment


@contextmanager
def mounted(folder: Path) -> Iterator[None]:
    """Mounts a small file system in memory.

    Raises:
        subprocess.CalledProcessError: mounting is not allowed, usually because we are not root.
    """
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", str(folder)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield
    finally:
        # Lazily: the last thread of a killed process may keep a file open for a moment longer.
        subprocess.run(["umount", "--lazy", folder], check=True)


def can_mount() -> bool:
    """Finds out by mounting."""
    with tempfile.TemporaryDirectory(prefix="fota-") as folder:
        try:
            with mounted(Path(folder, "disk")):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False
