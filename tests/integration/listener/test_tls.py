"""TLS with certificates, ACL users, and all that REDIS_URL can say of them."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode

import pytest
import redis

from listener.diagnostics import startup
from listener.errors import QueueUnavailableError, SettingsError
from listener.inspection.entries import follow
from listener.queue.keys import Partition
from listener.queue.writer import RedisWriter
from listener.redis_client.client import connect
from listener.settings.secret import Secret
from testbed.polling import wait_until
from testbed.ports import HOST, free_port
from testbed.programs import find_program
from testbed.redis_servers import redis_process
from testbed.redis_servers.redis_nodes import Node, started
from tests.support.queue_load import message, settings

pytestmark = pytest.mark.redis_flavour

# What the listener's user must be allowed, and no more.
ACL = (
    *("on", ">acl-password", "~{fota:*", "-@all", "+@connection", "+@read", "+@write"),
    *("+eval", "+evalsha", "+info", "+config|get", "+wait"),
)
SLOTS = range(16384)


class Certificate:
    """One that signed itself, for 127.0.0.1: as CA, of the server, and of the client."""

    def __init__(self, folder: Path, name: str) -> None:
        self.file, self.key = folder / f"{name}.pem", folder / f"{name}.key"
        words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=fota"
        alternative = ("-addext", f"subjectAltName=IP:{HOST}")
        files = ("-keyout", self.key, "-out", self.file)
        command = ["openssl", *words.split(), *alternative, *map(str, files)]
        subprocess.run(command, check=True, capture_output=True)

    def serve(self, port: int) -> dict[str, str]:
        """The options of a server that wants to see the client's certificate."""
        return {
            "tls-port": str(port),
            "tls-cert-file": str(self.file),
            "tls-key-file": str(self.key),
            "tls-ca-cert-file": str(self.file),
        }

    @property
    def query(self) -> str:
        """What a client's URL says."""
        names = {"ssl_ca_certs": self.file, "ssl_certfile": self.file, "ssl_keyfile": self.key}
        return urlencode({name: str(path) for name, path in names.items()})


class SentinelProcess(Node):
    """A Sentinel with a file of its own; it listens without TLS too, so that its start is seen."""

    def words(self) -> list[str]:
        file = self.folder / "sentinel.conf"
        self.folder.mkdir()
        lines = {"port": str(self.port), "bind": HOST, "dir": str(self.folder), **self.options}
        file.write_text("".join(f"{name} {value}\n" for name, value in lines.items()))
        return [str(file), "--sentinel"]


@pytest.fixture(scope="module")
def folder(redis_server: str) -> Iterator[Path]:
    with TemporaryDirectory(prefix="fota-") as made:
        yield Path(made)


@pytest.fixture(scope="module")
def ours(folder: Path) -> Certificate:
    find_program("openssl")
    ours = Certificate(folder, "ours")
    try:
        with redis_process.running(folder / "probe", options=ours.serve(free_port())):
            pass
    except redis_process.ServerFailedError:
        pytest.skip("this Redis server was built without TLS")
    return ours


@pytest.fixture(scope="module")
def server(folder: Path, ours: Certificate) -> Iterator[str]:
    """Host and port of a server that speaks TLS there."""
    port = free_port()
    with (
        redis_process.running(folder, options=ours.serve(port)) as socket,
        redis.Redis.from_url(socket) as client,
    ):
        client.execute_command("ACL", "SETUSER", "app", *ACL)
        yield f"{HOST}:{port}"


@contextmanager
def opened(url: str, **environ: str) -> Iterator[RedisWriter]:
    """With as much time as can be set: none of these tests is about time."""
    writer = RedisWriter(settings(url, ACK_BUDGET_MS="4000", **environ))
    try:
        yield writer
    finally:
        writer.close()


def test_messages_are_kept_over_tls_with_a_certificate_of_our_own(
    server: str, ours: Certificate
) -> None:
    with opened(f"rediss://{server}/0?{ours.query}") as writer:
        writer.put(message(1))
        assert writer.put(message(1)).duplicate


def test_without_a_certificate_or_with_another_ca_or_name_nothing_is_sent(
    server: str, ours: Certificate, folder: Path
) -> None:
    other = Certificate(folder, "other")
    for url in (
        f"rediss://{server}?ssl_ca_certs={ours.file}",
        f"rediss://{server}?{other.query}",
        f"rediss://{server.replace(HOST, 'localhost')}?{ours.query}",
        f"redis://{server}",
    ):
        with opened(url) as writer, pytest.raises(QueueUnavailableError):
            writer.put(message(2))


def test_a_certificate_that_is_not_there_is_told_at_start(folder: Path, server: str) -> None:
    url = f"rediss://{server}?ssl_ca_certs={folder}/none.pem"
    with pytest.raises(SettingsError, match="the file of ssl_ca_certs cannot be read") as raised:
        startup.check(settings(url))
    assert str(folder) not in str(raised.value)


def test_an_acl_user_needs_no_more_than_documented(server: str, ours: Certificate) -> None:
    url = f"rediss://app:acl-password@{server}?{ours.query}"
    environ = {"QUEUE_DURABILITY": "fsync"}
    startup.check(settings(url, **environ))
    with opened(url, **environ) as writer:
        writer.check()
        receipt = writer.put(message(3))
    with connect(Secret(url), timeout_s=5, name="tests", decode_responses=True) as client:
        found = follow(client, [Partition("fota", 0)], start="0", block_ms=10)
        assert any(entry and entry.entry_id == receipt.entry_id for entry in found)


def test_an_acl_user_reaches_no_other_keys_and_needs_its_password(
    server: str, ours: Certificate
) -> None:
    url = f"rediss://app:acl-password@{server}?{ours.query}"
    none = pytest.raises(QueueUnavailableError, match="NoPermission")
    with opened(url, QUEUE_NAMESPACE="other") as writer, none:
        writer.put(message(3))
    wrong = url.replace("acl-password", "wrong-password")
    refused = pytest.raises(QueueUnavailableError, match="Authentication")
    with opened(wrong) as writer, refused as raised:
        writer.put(message(3))
    assert "wrong-password" not in str(raised.value)


def test_a_cluster_is_reached_over_tls(folder: Path, ours: Certificate) -> None:
    port = free_port()
    options = {**ours.serve(port), "tls-cluster": "yes", "cluster-enabled": "yes"}
    node = Node(folder / "cluster", options)
    with started([node]), opened(f"rediss+cluster://{HOST}:{port}?{ours.query}") as writer:
        node.ask("CLUSTER", "ADDSLOTS", *SLOTS)
        wait_until(lambda: "cluster_state:ok" in node.ask("CLUSTER", "INFO"))
        assert not writer.put(message(4)).duplicate


def test_sentinel_and_its_master_are_reached_over_tls_each_with_its_own_password(
    folder: Path, ours: Certificate
) -> None:
    redis_port, sentinel_port = free_port(), free_port()
    node = Node(folder / "master", ours.serve(redis_port), password="of-redis")
    lines = {
        **ours.serve(sentinel_port),
        "requirepass": "of-sentinel",
        "tls-replication": "yes",
        "sentinel monitor": f"fota {HOST} {redis_port} 1",
        "sentinel auth-pass": "fota of-redis",
    }
    url = (
        f"rediss+sentinel://:of-redis@{HOST}:{sentinel_port}/fota/0"
        f"?sentinel_password=of-sentinel&{ours.query}"
    )
    with started([node, SentinelProcess(folder / "sentinel", lines)]), opened(url) as writer:
        assert not writer.put(message(5)).duplicate
