"""Several Redis servers behind one plain address: a Cluster, or shards behind a proxy."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import redis
from structlog.testing import capture_logs

from listener.diagnostics import startup
from listener.errors import SettingsError
from listener.ops.app import create_ops_app
from listener.queue.keys import every_partition
from listener.queue.retention import Retention
from testbed.polling import wait_until
from testbed.proxies.shard_proxy import ShardProxy, refusing
from testbed.redis_servers import redis_cluster
from testbed.redis_servers.redis_cluster import SLOTS, Cluster
from testbed.redis_servers.redis_nodes import Node, started, wait_for_nodes
from tests.support.cli import listed, run
from tests.support.consumer_feed import feed
from tests.support.consumer_runs import consumer, number_of, running
from tests.support.queue_load import keeping, kept, message, settings

pytestmark = pytest.mark.redis_flavour

PARTITIONS = 4
FOUR = {"QUEUE_PARTITIONS": str(PARTITIONS)}
STREAMS = [where.messages for where in every_partition("fota", PARTITIONS)]


@pytest.fixture(scope="module")
def nodes(redis_server: str) -> Iterator[Cluster]:
    with (
        TemporaryDirectory(prefix="fota-") as folder,
        redis_cluster.running(Path(folder)) as made,
    ):
        yield made


@pytest.fixture
def cluster(nodes: Cluster) -> Cluster:
    """An empty one."""
    for master in nodes.masters():
        master.ask("FLUSHALL")
    return nodes


@pytest.fixture
def proxy(cluster: Cluster) -> Iterator[ShardProxy]:
    """As Envoy in front of a Cluster: it routes each command, and refuses those of several slots."""
    with ShardProxy([node.port for node in cluster.masters()]).running() as made:
        yield made


@contextmanager
def two_servers(folder: Path) -> Iterator[list[int]]:
    """The ports of two servers that know nothing of each other."""
    nodes = [Node(folder / name, {}) for name in ("a", "b")]
    with started(nodes):
        yield [node.port for node in nodes]


@contextmanager
def one_node(folder: Path) -> Iterator[Node]:
    """A Cluster that consists of it alone."""
    node = Node(folder / "node", {"cluster-enabled": "yes"})
    with started([node]):
        node.ask("CLUSTER", "ADDSLOTS", *range(SLOTS))
        wait_for_nodes(
            lambda: "cluster_state:ok" in node.ask("CLUSTER", "INFO"), "the Cluster is whole"
        )
        yield node


def checked(url: str, **environ: str) -> dict[tuple[str, str], str]:
    """What `check` says, by topic and level; it must not end with an error of Redis."""
    found: dict[tuple[str, str], str] = {}
    for line in run(url, "check", "--json", **{**FOUR, **environ}).stdout.splitlines():
        one = json.loads(line)
        key = one["topic"], one["level"]
        found[key] = f"{found.get(key, '')} {one['text']} {one['advice']}"
    assert ("redis", "error") not in found, found
    return found


def filled(url: str, streams: Sequence[str] = STREAMS) -> list[int]:
    """Three messages in each partition; their numbers."""
    numbers = list(range(3 * len(streams)))
    with redis.Redis.from_url(url, protocol=2) as client:
        for at, stream in enumerate(streams):
            for number in numbers[3 * at : 3 * at + 3]:
                feed(client, [number], stream=stream)
    return numbers


def handled(url: str, expected: Sequence[int], **options: Any) -> list[dict[str, Any]]:
    """Runs a consumer until it has handled all that is expected; the log."""
    seen: list[int] = []
    each = consumer(url, lambda m: seen.append(number_of(m)), partitions=PARTITIONS, **options)
    with capture_logs() as logs, running(each):
        wait_until(lambda: sorted(seen) == list(expected), lambda: f"{sorted(seen)} {logs[-5:]}")
    return [dict(line) for line in logs]


@pytest.mark.parametrize("ordered", [False, True])
def test_a_consumer_reads_every_partition_of_a_cluster_behind_a_proxy(
    proxy: ShardProxy, ordered: bool
) -> None:
    expected = filled(proxy.url)
    logs = handled(proxy.url, expected, ordered=ordered)
    assert sum("each is read by itself" in line["event"] for line in logs) == 1


def test_a_consumer_reads_shards_of_which_each_knows_only_its_own_keys(tmp_path: Path) -> None:
    """The proxy sends a command to the server of its first key, which refuses nothing."""
    with (
        two_servers(tmp_path) as ports,
        ShardProxy(ports, answers_crossslot=False).running() as proxy,
    ):
        expected = filled(proxy.url)
        handled(proxy.url, expected)
        found = listed(run(proxy.url, "tail", "--from", "start", "--no-follow", "--json", **FOUR))
        assert len(found) == len(expected)
        check = checked(proxy.url)
    assert "finds the messages of only some of them" in check["redis", "warning"]


def test_a_consumer_polls_where_a_proxy_refuses_to_wait(proxy: ShardProxy) -> None:
    proxy.answers = refusing(b"BLOCK")
    expected = filled(proxy.url)
    logs = handled(proxy.url, expected)
    assert [line for line in logs if "the consumer polls" in line["event"]]


def test_a_consumer_reads_what_a_single_node_of_a_cluster_serves(cluster: Cluster) -> None:
    node = cluster.master_of(STREAMS[0])
    with node.client() as client:
        feed(client, [1, 2], stream=STREAMS[0])
    handled(f"redis://{node.address}/0", [1, 2])


def test_partitions_of_one_server_are_read_by_one_command(redis_url: str) -> None:
    expected = filled(redis_url)
    logs = handled(redis_url, expected)
    assert not [line for line in logs if "each is read by itself" in line["event"]]


def test_a_partition_that_is_no_stream_does_not_keep_the_others_from_being_read(
    redis_url: str, redis_client: Any
) -> None:
    redis_client.set(STREAMS[2], "something else")
    expected = filled(redis_url, [STREAMS[0], STREAMS[1], STREAMS[3]])
    handled(redis_url, expected)


def test_check_names_a_cluster_behind_a_proxy(proxy: ShardProxy) -> None:
    filled(proxy.url)
    found = checked(proxy.url)
    assert "CROSSSLOT" in found["redis", "warning"]
    assert "redis+cluster://" in found["redis", "warning"]


def test_check_names_a_proxy_that_hides_what_stands_behind_it(proxy: ShardProxy) -> None:
    proxy.answers = refusing(b"CLUSTER", b"CONFIG", b"SCAN", b"DBSIZE", b"TIME")
    assert "CROSSSLOT" in checked(proxy.url)["redis", "warning"]


def test_check_fails_at_a_node_that_serves_only_a_part(cluster: Cluster) -> None:
    result = run(f"redis://{cluster.masters()[0].address}/0", "check", "--json", **FOUR)
    assert result.exit_code == 1
    errors = [json.loads(line) for line in result.stdout.splitlines()]
    [named] = [
        one for one in errors if one["level"] == "error" and "node of a Redis" in one["text"]
    ]
    assert "redis+cluster://" in named["advice"]


def test_a_command_at_a_node_names_the_cluster(cluster: Cluster) -> None:
    result = run(f"redis://{cluster.masters()[0].address}/0", "stats", **FOUR)
    assert result.exit_code == 1
    assert "leads to a Cluster: use redis+cluster://" in result.output


def test_check_warns_of_a_cluster_of_one_node(tmp_path: Path) -> None:
    with one_node(tmp_path) as node:
        url = f"redis://{node.address}/0"
        assert "CROSSSLOT" in checked(url)["redis", "warning"]
        assert (
            "one node of a Redis Cluster" in checked(url, QUEUE_PARTITIONS="1")["redis", "warning"]
        )
        handled(url, filled(url))


def test_check_is_content_with_one_server_and_with_a_cluster_named_as_such(
    redis_url: str, cluster: Cluster
) -> None:
    for url in (redis_url, cluster.url):
        assert "can be read as configured" in checked(url)["redis", "ok"]
        assert "redis+cluster" not in checked(url).get(("redis", "warning"), "")


def test_the_service_reports_shards_at_start(proxy: ShardProxy, redis_url: str) -> None:
    def warned(url: str) -> list[Any]:
        with capture_logs() as logs:
            startup.check(settings(url, **FOUR))
        return [line for line in logs if "several servers" in line["event"]]

    [line] = warned(proxy.url)
    assert "redis+cluster://" in line["advice"]
    assert not warned(redis_url)


def test_retention_and_the_status_page_look_at_every_partition_behind_a_proxy(
    proxy: ShardProxy,
) -> None:
    filled(proxy.url)
    retention = Retention(settings(proxy.url, **FOUR))
    try:
        with capture_logs() as logs:
            retention.run_once()
    finally:
        retention.stop()
    assert not [line for line in logs if "cannot be trimmed" in line["event"]]
    with keeping(proxy.url, **FOUR) as keeper:
        page = create_ops_app(settings(proxy.url, **FOUR), queue=keeper).test_client()
        assert "several servers stand behind REDIS_URL" in page.get("/").text
        measured = page.get("/metrics").text
    for number in range(PARTITIONS):
        assert f'fota_queue_messages{{partition="{number}"}} 3.0' in measured


def test_what_a_node_does_not_serve_waits_in_the_spool_until_the_address_is_right(
    cluster: Cluster, tmp_path: Path
) -> None:
    numbers = range(12)
    there = {"SPOOL_DIR": str(tmp_path), **FOUR}
    with keeping(f"redis://{cluster.masters()[0].address}/0", **there) as keeper:
        by = {keeper.put(message(number)).stored_in for number in numbers}
    assert by == {"redis", "spool"}
    with keeping(cluster.url, **there):
        expected = {message(number).id: 1 for number in numbers}
        wait_until(lambda: kept(cluster.url, PARTITIONS) == expected)


def test_what_is_not_served_is_waited_for_and_the_rest_goes_on(cluster: Cluster) -> None:
    """The consumer of one node reads its partitions, and says that the others fail."""
    node = cluster.master_of(STREAMS[0])
    others = [stream for stream in STREAMS if cluster.master_of(stream).port != node.port]
    assert others
    with node.client() as client:
        feed(client, [1], stream=STREAMS[0])
    logs = handled(f"redis://{node.address}/0", [1])
    assert [line for line in logs if "redis fails" in line["event"] and "Moved" in line["detail"]]


@pytest.mark.parametrize("durability", ["fsync", "replicas:1"])
def test_a_durability_that_a_proxy_cannot_confirm_is_refused(
    proxy: ShardProxy, durability: str
) -> None:
    """WAIT has no key: the proxy sends it to a server that may not be the one that was written to."""
    chosen = {"QUEUE_DURABILITY": durability, **FOUR}
    with pytest.raises(SettingsError) as caught:
        startup.check(settings(proxy.url, **chosen))
    assert "cannot be confirmed: several servers" in str(caught.value.problems)
    result = run(proxy.url, "check", "--json", **chosen)
    assert result.exit_code == 1
    assert "cannot be confirmed: several servers" in result.stdout


def test_a_durability_can_be_confirmed_by_a_cluster_of_one_node(tmp_path: Path) -> None:
    with one_node(tmp_path) as node:
        startup.check(settings(f"redis://{node.address}/0", QUEUE_DURABILITY="fsync", **FOUR))
