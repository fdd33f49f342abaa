"""The queue on a Redis Cluster: partitions are spread, and moves and failovers are followed."""

import itertools
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from socket import create_server
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import redis
from structlog.testing import capture_logs

from listener.diagnostics import startup
from listener.errors import QueueUnavailableError
from listener.inspection.entries import follow
from listener.messages.message import Message
from listener.queue.keys import Partition, every_partition, partition_number
from listener.queue.retention import Retention
from listener.queue.writer import RedisWriter
from listener.recovered.evidence_index import EvidenceIndex
from listener.recovered.recovered_messages import RecoveredMessages
from listener.recovered.recovery_state import Report
from listener.redis_client.client import connect, servers
from listener.settings.secret import Secret
from listener.spool.spool import Spool
from registrar.coordination.keys import Keys
from registrar.coordination.membership import Lease, MemberIdentity, read_members
from registrar.coordination.mutex import Mutex
from registrar.coordination.state import SharedState
from registrar.model import Slot
from registrar.turn import UNRESTRICTED
from testbed.polling import wait_until
from testbed.ports import free_port
from testbed.redis_servers import redis_cluster, redis_process
from testbed.redis_servers.redis_cluster import Cluster
from testbed.redis_servers.redis_nodes import Node
from tests.support.cli import listed, run
from tests.support.queue_load import Load, keeping, kept, message, settings
from tests.support.redis_trust import assert_probed, assert_replaced_after_a_rest

pytestmark = pytest.mark.redis_flavour

HOST = "127.0.0.1"
PASSWORD = "word-of-redis"
STREAM = "{fota:0}:messages"
# So many that each of the three masters has some.
PARTITIONS = 6


@pytest.fixture(scope="module")
def nodes(redis_server: str) -> Iterator[Cluster]:
    """One for the module: whatever a test does to it, it leaves three masters with a replica each."""
    with (
        TemporaryDirectory(prefix="fota-") as folder,
        redis_cluster.running(Path(folder), password=PASSWORD) as running,
    ):
        yield running


@pytest.fixture
def empty(nodes: Cluster) -> Cluster:
    for master in nodes.masters():
        master.ask("FLUSHALL")
    return nodes


@contextmanager
def opened(url: str, **environ: str) -> Iterator[RedisWriter]:
    """With time enough for a busy machine."""
    defaults = {"QUEUE_PARTITIONS": str(PARTITIONS), "ACK_BUDGET_MS": "3000"}
    writer = RedisWriter(settings(url, **defaults, **environ))
    try:
        yield writer
    finally:
        writer.close()


@pytest.fixture
def client(empty: Cluster) -> Iterator["redis.Redis"]:
    with connect(Secret(empty.url), timeout_s=5, name="tests") as connected:
        yield connected


def in_partition_0() -> Iterator[Message]:
    """Messages whose slot is the one under test."""
    for sent in map(message, itertools.count()):
        if partition_number(sent, PARTITIONS) == 0:
            yield sent


@pytest.mark.parametrize("durability", ["server", "fsync", "replicas:1"])
def test_each_message_is_kept_once_and_every_master_has_some(
    empty: Cluster, durability: str
) -> None:
    with opened(empty.url, QUEUE_DURABILITY=durability) as writer:
        duplicates = [writer.put(message(number % 40)).duplicate for number in range(80)]
    assert duplicates == [False] * 40 + [True] * 40
    assert kept(empty.url, PARTITIONS) == {message(number).id: 1 for number in range(40)}
    assert all(master.ask("DBSIZE") for master in empty.masters())


def test_what_came_is_indexed_in_every_partition_and_a_message_recovered_once(
    empty: Cluster,
) -> None:
    about = settings(empty.url, QUEUE_PARTITIONS=str(PARTITIONS))
    with closing(EvidenceIndex.connect(about)) as index:
        # Redis 6.2 does not count what a stream lost before it was first read.
        index.refresh(10)
    with opened(empty.url) as writer:
        for number in range(20):
            writer.put(message(number))
    report = Report("a", "v1", "u-99", "InProgress", "GET /fota/v1/…", {"id": "u-99"})
    with (
        closing(RecoveredMessages.connect(about)) as recovered,
        closing(EvidenceIndex.connect(about)) as index,
    ):
        assert [recovered.put(report, "upgrade-started") for _ in range(2)] == [True, False]
        assert index.refresh(10)
        kinds = {index.kinds_of("a", f"u-{number}") for number in range(20)}
        assert kinds == {frozenset({"upgrade-started"})}
        assert index.recovered_kinds_of("a", "u-99") == {"upgrade-started"}
        assert index.kinds_of("a", "u-99") == frozenset()
        assert index.complete_since("a", "u-1") is None
        assert not index.spool_is_waiting()


def test_connections_to_each_node_are_probed_and_not_trusted_after_a_rest(
    empty: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(Secret(empty.url), timeout_s=5, name="tests") as connected:
        for node in servers(connected):
            assert_probed(node)
            assert_replaced_after_a_rest(node, monkeypatch)


def test_too_few_replicas_are_noticed_on_the_connection_that_wrote(empty: Cluster) -> None:
    with opened(empty.url) as writer:
        # A node that has to learn the script first takes twice the time.
        for number in range(2, 42):
            writer.put(message(number))
    with opened(empty.url, QUEUE_DURABILITY="replicas:2") as writer:
        with pytest.raises(QueueUnavailableError, match="WAIT: 1 of 2"):
            writer.put(message(1))
        with pytest.raises(QueueUnavailableError, match="WAIT: 1 of 2"):
            writer.check(1)


def test_the_memory_of_every_master_is_watched(empty: Cluster) -> None:
    keys = [partition.messages for partition in every_partition("fota", PARTITIONS)]
    full = empty.master_of(keys[3])
    with full.client() as client:
        used: Any = client.info("memory")
    full.ask("CONFIG", "SET", "maxmemory", used["used_memory"] * 10 // 9)
    retention = Retention(settings(empty.url, QUEUE_PARTITIONS=str(PARTITIONS)))
    try:
        with capture_logs() as logs:
            retention.run_once()
    finally:
        full.ask("CONFIG", "SET", "maxmemory", "0")
        retention.stop()
    [warning] = [line for line in logs if "memory" in line["event"]]
    there = [number for number, key in enumerate(keys) if empty.master_of(key) is full]
    assert warning["partitions"] == there
    assert 0 < len(there) < PARTITIONS


def test_one_node_that_answers_is_enough(empty: Cluster) -> None:
    dead = f"@127.0.0.1:{free_port()},127.0.0.1:{free_port()},"
    with opened(empty.url.replace("@", dead)) as writer:
        assert not writer.put(message(1)).duplicate


def test_a_cluster_that_is_down_is_unavailable_and_no_password_is_told() -> None:
    url = f"redis+cluster://:{PASSWORD}@127.0.0.1:{free_port()}"
    with opened(url) as writer:
        with pytest.raises(QueueUnavailableError, match="no node of the Cluster") as raised:
            writer.put(message(1))
        with pytest.raises(QueueUnavailableError):
            writer.check()
    assert PASSWORD not in str(raised.value)


def test_a_server_that_is_no_cluster_is_unavailable(tmp_path: Path) -> None:
    port = free_port()
    with (
        redis_process.running(tmp_path, port=port),
        opened(f"redis+cluster://127.0.0.1:{port}") as writer,
        pytest.raises(QueueUnavailableError, match="cluster support disabled"),
    ):
        writer.put(message(1))


def test_a_master_that_hangs_holds_up_no_other_partition(
    empty: Cluster, client: "redis.Redis"
) -> None:
    client.xgroup_create(STREAM, "billing", "0", mkstream=True)
    hanging = next(node for node in empty.masters() if node is not empty.master_of(STREAM))
    hanging.freeze()
    try:
        for _ in range(20):
            assert client.xreadgroup("billing", "worker", {STREAM: ">"}, count=1) == []
    finally:
        hanging.resume()
    empty.await_pairs()


def test_nodes_that_all_hang_are_waited_for_as_long_as_one() -> None:
    with ExitStack() as stack:
        silent = [stack.enter_context(create_server((HOST, 0))) for _ in range(8)]
        hosts = ",".join(f"{HOST}:{each.getsockname()[1]}" for each in silent)
        url = Secret(f"redis+cluster://{hosts}")
        client = stack.enter_context(connect(url, timeout_s=0.5, name="tests", retry=False))
        began = time.monotonic()
        with pytest.raises(redis.ConnectionError, match="no node of the Cluster answers"):
            client.get(STREAM)
        assert time.monotonic() - began < 2


def test_a_reader_sees_all_partitions_each_in_order(empty: Cluster) -> None:
    with opened(empty.url) as writer:
        receipts = [writer.put(message(number)) for number in range(40)]
    spaces = [Partition("fota", number) for number in range(PARTITIONS)]
    with connect(Secret(empty.url), timeout_s=5, name="tests", decode_responses=True) as reading:
        entries = follow(reading, spaces, start="0", block_ms=10)
        found = list(itertools.takewhile(bool, entries))
        assert sorted(entry.entry_id for entry in found if entry) == sorted(
            receipt.entry_id for receipt in receipts
        )
        with opened(empty.url) as writer:
            writer.put(message(99))
        assert any(entry and entry.fields["subject"] == "u-99" for entry in entries)


def test_the_operators_commands_look_at_all_partitions_and_give_back(
    empty: Cluster, client: Any
) -> None:
    environ = {"QUEUE_PARTITIONS": str(PARTITIONS)}
    with opened(empty.url) as writer:
        for number in range(40):
            writer.put(message(number))
    for number in range(PARTITIONS):
        stream = Partition("fota", number).messages
        client.xgroup_create(stream, "billing", "0")
        client.xreadgroup("billing", "worker", {stream: ">"}, count=1)
        for held in client.xpending_range(stream, "billing", "-", "+", 1):
            fields = client.xrange(stream, count=1)[0][1]
            told = {"entry": held["message_id"], "reason": "crashed"}
            client.xadd(Partition("fota", number).dead("billing"), {**fields, **told})
            client.xack(stream, "billing", held["message_id"])
    looked = listed(run(empty.url, "stats", "--json", **environ))
    assert sum(line.get("entries", 0) for line in looked) == 40
    assert sum(line.get("dead", 0) for line in looked) == PARTITIONS
    assert run(empty.url, "check", **environ).exit_code == 0
    assert len(listed(run(empty.url, "dead", "list", "--json", **environ))) == PARTITIONS
    assert (
        run(empty.url, "dead", "requeue", "-g", "billing", "--all", "--yes", **environ).exit_code
        == 0
    )
    assert len(listed(run(empty.url, "pending", "--json", **environ))) == PARTITIONS
    moved = run(empty.url, "replay", "-g", "billing", "--from", "start", "--yes", **environ)
    assert f"{PARTITIONS} messages will be delivered to billing again" in moved.stdout
    assert len(listed(run(empty.url, "export", **environ))) == 40
    words = ("tail", "--from", "start", "--no-follow", "--json")
    assert len(listed(run(empty.url, *words, **environ))) == 40


def test_messages_are_given_again_and_a_group_is_dropped_on_every_master(
    empty: Cluster, client: Any
) -> None:
    environ = {"QUEUE_PARTITIONS": str(PARTITIONS)}
    with opened(empty.url) as writer:
        for number in range(40):
            writer.put(message(number))
    for partition in every_partition("fota", PARTITIONS):
        for name in ("billing", "dashboard"):
            client.xgroup_create(partition.messages, name, "0")
            found = client.xreadgroup(name, "worker", {partition.messages: ">"})
            for entry_id, _ in (entry for _, entries in found for entry in entries):
                client.xack(partition.messages, name, entry_id)
    words = ("--group", "billing", "--from", "start")
    dry = listed(run(empty.url, "resend", *words, "--dry-run", "--json", **environ))
    assert ({each["result"] for each in dry}, len(dry)) == ({"again"}, 40)
    one = dry[0]["entry"], "--partition", str(dry[0]["partition"])
    assert run(empty.url, "resend", *one, "--group", "billing", **environ).exit_code == 0
    again = run(empty.url, "resend", *words, "--yes", **environ)
    assert "39 messages given to billing again" in again.stdout
    billing, dashboard = listed(run(empty.url, "group", "list", "--json", **environ))
    assert (billing["pending"], dashboard["pending"]) == (40, 0)
    assert len(billing["partitions"]) == PARTITIONS
    assert run(empty.url, "group", "drop", "billing", "--yes", **environ).exit_code == 1
    forced = run(empty.url, "group", "drop", "billing", "--force", "--yes", **environ)
    assert forced.exit_code == 0, forced.output
    (left,) = listed(run(empty.url, "group", "list", "--json", **environ))
    assert (left["group"], len(left["partitions"])) == ("dashboard", PARTITIONS)


def test_the_startup_check_asks_every_master(empty: Cluster) -> None:
    with capture_logs() as logs:
        startup.check(settings(empty.url, QUEUE_DURABILITY="replicas:2"))
    assert any("only 1 of 2 replicas" in str(line.get("detail")) for line in logs)
    empty.masters()[2].ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        with capture_logs() as logs:
            startup.check(settings(empty.url))
    finally:
        empty.masters()[2].ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert any("allkeys-lru can delete the queue" in str(line.get("detail")) for line in logs)


def test_the_registrars_leases_mutex_and_store_work(client: "redis.Redis") -> None:
    keys = Keys("tests")
    assert len(servers(client)) == 3
    lease = Lease(client, keys, MemberIdentity("one", "a", "url"), ttl_s=30, age_s=lambda: 0)
    assert lease.join().names == lease.renew().names == read_members(client, keys).names == ("one",)
    with Mutex(client, keys, "one", ttl_s=30).hold(UNRESTRICTED, timeout_s=1) as held:
        held.renew()
        store = SharedState(client, keys, digest=str, window_s=30)
        store.add_takeover(Slot("a", "v1"), "url", fencing_token=held.fencing_token)
        assert store.count_takeovers(Slot("a", "v1"), "url") == 1
        assert store.is_known_url("url")
        assert store.observation(Slot("a", "v1")) is None
    assert lease.leave() == 0


def test_a_slot_that_was_moved_is_followed_without_an_error(empty: Cluster) -> None:
    one, two, *_ = itertools.islice(in_partition_0(), 2)
    with opened(empty.url, QUEUE_DURABILITY="replicas:1") as writer:
        writer.put(one)
        target = next(node for node in empty.masters() if node is not empty.master_of(STREAM))
        empty.move_slot(STREAM, target)
        assert writer.put(one).duplicate
        assert not writer.put(two).duplicate
    assert target.ask("XLEN", STREAM) == 2


def test_while_a_slot_is_being_moved_its_messages_wait_and_single_keys_are_followed(
    empty: Cluster, client: "redis.Redis"
) -> None:
    one, two, *_ = itertools.islice(in_partition_0(), 2)
    with opened(empty.url) as writer:
        writer.put(one)
        target = next(node for node in empty.masters() if node is not empty.master_of(STREAM))
        source = empty.begin_move(STREAM, target)
        # The stream is still here and the new fingerprint would be there: no node can do both.
        with pytest.raises(QueueUnavailableError, match="TryAgain"):
            writer.put(two)
        client.set("{fota:0}:single", "1")
        with client.pipeline(transaction=False) as pipeline:
            pipeline.get("{fota:0}:single")
            pipeline.incr("{fota:0}:single")
            assert pipeline.execute() == [b"1", 2]
        empty.end_move(STREAM, source, target)
        assert not writer.put(two).duplicate
    assert target.ask("GET", "{fota:0}:single") == "2"
    assert target.ask("XLEN", STREAM) == 2


def test_while_a_slot_is_being_moved_the_note_of_the_replicas_is_not_made_at_both_ends(
    empty: Cluster,
) -> None:
    """MIGRATE, and with it an operator's resharding, would stop there: BUSYKEY."""
    one, two, *_ = itertools.islice(in_partition_0(), 2)
    with opened(empty.url, QUEUE_DURABILITY="replicas:1") as writer:
        writer.put(one)
        target = next(node for node in empty.masters() if node is not empty.master_of(STREAM))
        source = empty.begin_move(STREAM, target)
        # Its key is not here any more, and may be there; the note is still here.
        with pytest.raises(QueueUnavailableError, match="Moved"):
            writer.check()
        empty.end_move(STREAM, source, target)
        assert not writer.put(two).duplicate
    assert target.ask("XLEN", STREAM) == 2


def test_a_writer_without_a_spool_finds_the_new_master_by_itself(empty: Cluster) -> None:
    one, two, *_ = itertools.islice(in_partition_0(), 2)
    with opened(empty.url) as writer:
        writer.put(one)
        new = empty.fail_over(STREAM)
        wait_until(lambda: _puts(writer, two))
    assert new.ask("XLEN", STREAM) == 2
    empty.await_pairs()


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["kill", "freeze", "reshard"])
def test_harm_under_load_loses_nothing_and_doubles_nothing(
    empty: Cluster, tmp_path: Path, harm: str
) -> None:
    environ = {
        "SPOOL_DIR": str(tmp_path),
        "QUEUE_DURABILITY": "replicas:1",
        "QUEUE_PARTITIONS": str(PARTITIONS),
    }
    with keeping(empty.url, **environ) as keeper:
        with Load(keeper) as load:
            wait_until(lambda: kept(empty.url, PARTITIONS).total() > 50)
            old = empty.master_of(STREAM)
            _harm(empty, old, harm)
            before = len(load.acknowledged)
            wait_until(lambda: len(load.acknowledged) > before + 50)
            # Until it is back there is no replica to confirm its part of the messages.
            empty.rejoin(old)
            wait_until(lambda: keeper.check() == "redis")
        spool = Spool(tmp_path, 2**30)
        wait_until(lambda: len(spool.oldest(10_000)) == 0)
        spool.close()
    assert load.refused == 0
    assert kept(empty.url, PARTITIONS) == dict.fromkeys(load.acknowledged, 1)


def _harm(cluster: Cluster, master: Node, how: str) -> None:
    if how == "reshard":
        target = next(node for node in cluster.masters() if node is not master)
        cluster.move_slot(STREAM, target)
        return
    master.kill() if how == "kill" else master.freeze()
    cluster.new_master_after(master, STREAM)


def _puts(writer: RedisWriter, sent: Any) -> bool:
    try:
        writer.put(sent)
    except QueueUnavailableError:
        return False
    return True
