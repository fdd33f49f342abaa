"""The consumer library while Redis restarts, fails over, or is a Cluster: told once, nothing lost."""

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import redis
from structlog.testing import capture_logs

from listener.redis_client.client import connect
from listener.settings.secret import Secret
from testbed.polling import wait_until
from testbed.redis_servers import redis_cluster, redis_sentinel
from testbed.redis_servers.redis_cluster import Cluster
from testbed.redis_servers.redis_nodes import Node, started
from tests.support.consumer_feed import STREAM, feed, fields
from tests.support.consumer_runs import GROUP, consumer, is_done, number_of, pending, running

pytestmark = pytest.mark.redis_flavour

PARTITIONS = 6


@pytest.fixture
def node(redis_server: str) -> Iterator[Node]:
    """A server of the test's own, to be killed and started again."""
    with TemporaryDirectory(prefix="fota-") as folder:
        single = Node(Path(folder), {})
        with started([single]):
            yield single


@pytest.fixture(scope="module")
def nodes(redis_server: str) -> Iterator[Cluster]:
    with (
        TemporaryDirectory(prefix="fota-") as folder,
        redis_cluster.running(Path(folder)) as cluster,
    ):
        yield cluster


def url_of(node: Node) -> str:
    return f"redis://{node.address}/0"


def test_a_restart_of_redis_is_logged_once_and_nothing_is_lost(node: Node) -> None:
    got: Counter[int] = Counter()
    with node.client() as client:
        feed(client, range(100))
        reader = consumer(url_of(node), lambda it: got.update([number_of(it)]), batch=10)
        with capture_logs() as logs, running(reader):
            wait_until(lambda: len(got) == 100)
            node.kill()
            wait_until(lambda: any("redis fails" in line["event"] for line in logs))
            node.start()
            feed(client, range(100, 200))
            wait_until(lambda: len(got) == 200 and is_done(client))
            # Until each thread that failed has succeeded: one that failed slowly pauses for up to 20 s.
            wait_until(lambda: any("answers again" in line["event"] for line in logs), timeout_s=60)
    assert max(got.values()) == 1
    warnings = [line["event"] for line in logs if line["log_level"] == "warning"]
    assert warnings == ["redis fails; the consumer waits for it"]


def test_what_is_handled_during_an_outage_is_acknowledged_after_it(node: Node) -> None:
    entered, leave = threading.Event(), threading.Event()
    got: list[int] = []

    def handler(message: Any) -> None:
        entered.set()
        leave.wait(30)
        got.append(number_of(message))

    with node.client() as client:
        feed(client, range(5))
        with running(consumer(url_of(node), handler, takeover_idle_s=60)):
            entered.wait(30)
            node.kill()
            leave.set()
            wait_until(lambda: got == [0, 1, 2, 3, 4])
            node.start()
            wait_until(lambda: is_done(client))
    assert got == [0, 1, 2, 3, 4]


def test_a_failed_message_survives_an_outage_and_dies_after_it(node: Node) -> None:
    entered, leave = threading.Event(), threading.Event()

    def handler(_: Any) -> None:
        entered.set()
        leave.wait(30)
        raise LookupError

    with node.client() as client:
        feed(client, [1])
        reader = consumer(url_of(node), handler, max_deliveries=1, takeover_idle_s=60)
        with capture_logs() as logs, running(reader):
            entered.wait(30)
            node.kill()
            leave.set()
            wait_until(lambda: any("redis fails" in line["event"] for line in logs))
            node.start()
            wait_until(lambda: client.xlen(f"{{fota:0}}:dead:{GROUP}") == 1)
            assert is_done(client)


def test_a_reply_that_was_lost_costs_no_idle_time(node: Node) -> None:
    got: list[int] = []
    with node.client() as client:
        feed(client, range(3))
        reader = consumer(
            url_of(node), lambda it: got.append(number_of(it)), name="me", takeover_idle_s=600
        )
        # As if the reply to this one had been lost on the way.
        client.xgroup_create(STREAM, GROUP, "0")
        client.xreadgroup(GROUP, "me", {STREAM: ">"}, count=2)
        with running(reader):
            wait_until(lambda: is_done(client))
    assert sorted(got) == [0, 1, 2]


def test_what_came_on_a_connection_that_broke_is_looked_for_at_once(node: Node) -> None:
    got: list[int] = []
    reader = consumer(
        url_of(node),
        lambda it: got.append(number_of(it)),
        name="me",
        block_s=10,
        takeover_idle_s=600,
        shutdown_s=0,
    )
    with node.client() as client, running(reader):
        wait_until(lambda: client.info("clients")["blocked_clients"] == 1)
        # Nobody is served during a transaction: this reply is the one that got lost.
        with client.pipeline(transaction=True) as pipeline:
            pipeline.xadd(STREAM, fields(1))
            pipeline.xreadgroup(GROUP, "me", {STREAM: ">"})
            pipeline.execute()
        client.client_kill_filter(_type="normal", skipme=True)
        wait_until(lambda: got == [1] and is_done(client))
        reader.stop()
        # It is waiting again; a message ends that wait.
        feed(client, [2])


def test_a_full_redis_is_read_all_the_same(node: Node) -> None:
    got: list[int] = []
    with node.client() as client:
        feed(client, range(5))
        client.xgroup_create(STREAM, GROUP, "0")
        client.xreadgroup(GROUP, "gone", {STREAM: ">"}, count=2)
        client.config_set("maxmemory", "1mb")
        with pytest.raises(redis.ResponseError, match="maxmemory"):
            client.set("more", "x" * 2**20)
            feed(client, [5])
        with running(consumer(url_of(node), lambda it: got.append(number_of(it)))):
            wait_until(lambda: is_done(client))
    assert sorted(got) == [0, 1, 2, 3, 4]


def test_without_redis_it_waits_for_it_and_can_be_stopped(node: Node) -> None:
    got: list[int] = []
    node.kill()
    reader = consumer(url_of(node), lambda it: got.append(number_of(it)), shutdown_s=0.1)
    with capture_logs() as logs, running(reader):
        wait_until(lambda: any("redis fails" in line["event"] for line in logs))
    with running(reader):
        node.start()
        with node.client() as client:
            wait_until(lambda: client.exists(STREAM))
            feed(client, [1])
            wait_until(lambda: got == [1] and is_done(client))


def test_a_redis_that_does_not_answer_does_not_hold_up_the_end(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("listener.consumer.run_context.REPLY_TIMEOUT_S", 0.2)
    got: list[int] = []
    entered, leave = threading.Event(), threading.Event()

    def handler(message: Any) -> None:
        entered.set()
        leave.wait(30)
        got.append(number_of(message))

    with node.client() as client:
        feed(client, range(3))
        reader = consumer(url_of(node), handler, shutdown_s=0.2)
        with capture_logs() as logs, running(reader):
            entered.wait(30)
            node.freeze()
            leave.set()
            wait_until(lambda: len(got) == 3)
        # It has returned, by itself.
        node.resume()
        assert any("others take over" in line["event"] for line in logs)
        with running(reader):
            wait_until(lambda: is_done(client))


def test_in_a_cluster_all_partitions_are_read_and_a_failover_is_followed(nodes: Cluster) -> None:
    got: Counter[int] = Counter()
    streams = [f"{{fota:{number}}}:messages" for number in range(PARTITIONS)]
    url = Secret(nodes.url)
    with connect(url, timeout_s=5, name="tests", decode_responses=True) as client:
        for number in range(120):
            feed(client, [number], stream=streams[number % PARTITIONS])

        def handler(message: Any) -> None:
            got[number_of(message)] += 1
            if number_of(message) == 7:
                raise LookupError

        both = [
            consumer(nodes.url, handler, partitions=PARTITIONS, max_deliveries=3, batch=5)
            for _ in range(2)
        ]
        with running(*both):
            wait_until(lambda: len(got) == 120 and all(is_done(client, it) for it in streams))
            assert client.xlen("{fota:1}:dead:g") == 1
            nodes.fail_over(streams[0])
            wait_until(lambda: fed(client, streams))
            wait_until(lambda: len(got) == 126 and all(is_done(client, it) for it in streams))
    assert {number for number, count in got.items() if count > 1} <= {7, *range(120, 126)}
    assert got[7] == 3


def fed(client: Any, streams: list[str]) -> bool:
    """One more message for each partition, once all of them take one."""
    try:
        for number, stream in enumerate(streams, 120):
            feed(client, [number], stream=stream)
    except redis.RedisError:
        return False
    return True


def test_under_sentinel_a_failover_is_followed(redis_server: str) -> None:
    got: Counter[int] = Counter()
    with (
        TemporaryDirectory(prefix="fota-") as folder,
        redis_sentinel.running(Path(folder)) as watched,
        connect(Secret(watched.url), timeout_s=5, name="tests", decode_responses=True) as client,
    ):
        feed(client, range(20))
        with running(consumer(watched.url, lambda it: got.update([number_of(it)]))):
            wait_until(lambda: len(got) == 20 and pending(client) == 0)
            watched.fail_over()
            wait_until(lambda: fed(client, [STREAM]))
            wait_until(lambda: 120 in got and pending(client) == 0)
    assert set(got) == {*range(20), 120}
