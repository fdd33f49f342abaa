"""The queue on a Redis under Sentinel: the master is found, and found again after a failover."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import redis
from structlog.testing import capture_logs

from listener.diagnostics import startup
from listener.errors import QueueUnavailableError
from listener.queue import replica_tracking
from listener.queue.writer import RedisWriter
from listener.recovered.evidence_index import EvidenceIndex
from listener.recovered.recovered_messages import RecoveredMessages
from listener.recovered.recovery_state import Report
from listener.redis_client.client import MAX_CONNECTIONS, connect
from listener.redis_client.connection_pool import DisconnectOnTimeout
from listener.settings.secret import Secret
from listener.spool.spool import Spool
from testbed.polling import wait_until
from testbed.ports import free_port
from testbed.redis_servers import redis_sentinel
from testbed.redis_servers.redis_nodes import Node
from testbed.redis_servers.redis_sentinel import Sentinels
from tests.support.cli import listed, run
from tests.support.queue_load import Load, keeping, kept, message, settings
from tests.support.redis_trust import assert_probed, assert_replaced_after_a_rest

pytestmark = pytest.mark.redis_flavour

PASSWORD = "word-of-redis"


@pytest.fixture(scope="module")
def group(redis_server: str) -> Iterator[Sentinels]:
    """One for the module: whatever a test does to it, it leaves a master with two replicas."""
    with (
        TemporaryDirectory(prefix="fota-") as folder,
        redis_sentinel.running(Path(folder), password=PASSWORD) as running,
    ):
        yield running


@pytest.fixture
def empty(group: Sentinels) -> Sentinels:
    group.master().ask("FLUSHALL")
    return group


def opened(url: str, **environ: str) -> RedisWriter:
    """With time enough for a busy machine."""
    return RedisWriter(settings(url, ACK_BUDGET_MS="3000", **environ))


@pytest.fixture
def writer(empty: Sentinels) -> Iterator[RedisWriter]:
    made = opened(empty.url, QUEUE_DURABILITY="replicas:1")
    yield made
    made.close()


def test_messages_are_kept_by_the_master_that_sentinel_names(
    writer: RedisWriter, empty: Sentinels
) -> None:
    assert not writer.put(message(1)).duplicate
    assert writer.put(message(1)).duplicate
    assert empty.master().ask("XLEN", "{fota:0}:messages") == 1


def test_what_came_is_indexed_on_the_master_and_a_message_recovered_once(
    writer: RedisWriter, empty: Sentinels
) -> None:
    writer.put(message(1))
    report = Report("a", "v1", "u-9", "InProgress", "GET /fota/v1/…", {"id": "u-9"})
    with (
        closing(RecoveredMessages.connect(settings(empty.url))) as recovered,
        closing(EvidenceIndex.connect(settings(empty.url))) as index,
    ):
        assert [recovered.put(report, "upgrade-started") for _ in range(2)] == [True, False]
        assert index.refresh(10)
        assert index.kinds_of("a", "u-1") == {"upgrade-started"}
        assert index.recovered_kinds_of("a", "u-9") == {"upgrade-started"}


def test_an_answer_that_came_too_late_is_nobody_elses(empty: Sentinels) -> None:
    client = connect(Secret(empty.url), timeout_s=0.3, name="fota-test")
    with pytest.raises(redis.TimeoutError):
        client.blpop("no-such-list", timeout=2)
    assert [client.echo(word) for word in ("one", "two")] == [b"one", b"two"]
    client.close()


def test_connections_are_probed_bounded_and_not_trusted_after_a_rest(
    empty: Sentinels, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(connect(Secret(empty.url), timeout_s=3, name="fota-test")) as client:
        assert_probed(client)
        assert_replaced_after_a_rest(client, monkeypatch)
        watchers = client.connection_pool.sentinel_manager.sentinels  # type: ignore[attr-defined]
        for watcher in watchers:
            assert_probed(watcher)
            assert issubclass(watcher.connection_pool.connection_class, DisconnectOnTimeout)
        with ThreadPoolExecutor(64) as pool:
            assert all(pool.map(lambda _: client.blpop("none", timeout=0.02) is None, range(128)))
        assert len(client.connection_pool._available_connections) <= MAX_CONNECTIONS


def test_the_operators_commands_find_the_master(writer: RedisWriter, empty: Sentinels) -> None:
    writer.put(message(1))
    assert listed(run(empty.url, "stats", "--json"))[0]["entries"] == 1
    checked = run(empty.url, "check", QUEUE_DURABILITY="replicas:2")
    assert (checked.exit_code, "2 replicas" in checked.stdout) == (0, True)
    assert PASSWORD not in checked.output


def test_a_message_is_given_again_and_a_group_dropped_at_the_master(
    writer: RedisWriter, empty: Sentinels
) -> None:
    entry = writer.put(message(1)).entry_id
    master = empty.master()
    master.ask("XGROUP", "CREATE", "{fota:0}:messages", "billing", "$")
    given = run(empty.url, "resend", entry, "--group", "billing")
    assert (given.exit_code, "is pending again" in given.stdout) == (0, True)
    assert run(empty.url, "group", "drop", "billing", "--yes").exit_code == 1
    assert run(empty.url, "group", "drop", "billing", "--force", "--yes").exit_code == 0
    assert listed(run(empty.url, "group", "list", "--json")) == []


def test_one_sentinel_that_answers_is_enough(empty: Sentinels) -> None:
    dead = f"@127.0.0.1:{free_port()},127.0.0.1:{free_port()},"
    writer = opened(empty.url.replace("@", dead))
    assert not writer.put(message(1)).duplicate
    writer.close()


def test_a_service_that_sentinel_does_not_know_is_unavailable_and_no_password_is_told(
    empty: Sentinels,
) -> None:
    writer = opened(empty.url.replace("/fota/", "/other/"))
    with pytest.raises(QueueUnavailableError, match="other") as raised:
        writer.put(message(1))
    writer.close()
    assert PASSWORD not in str(raised.value)


def test_a_read_only_master_is_unavailable_and_the_next_one_is_found(
    writer: RedisWriter, empty: Sentinels
) -> None:
    writer.put(message(1))
    master, other = empty.master(), empty.replicas()[0]
    master.ask("REPLICAOF", "127.0.0.1", other.port)
    try:
        with pytest.raises(QueueUnavailableError):
            writer.put(message(2))
        with pytest.raises(QueueUnavailableError):
            writer.check()
    finally:
        master.ask("REPLICAOF", "NO", "ONE")
    wait_until(lambda: _puts(writer, 3))


def test_fsync_is_asked_of_the_server_that_wrote_not_of_the_first_one(empty: Sentinels) -> None:
    writer = opened(empty.url, QUEUE_DURABILITY="fsync")
    writer.put(message(1))
    master = empty.master()
    master.ask("CONFIG", "SET", "appendonly", "no")
    try:
        with pytest.raises(QueueUnavailableError, match="append"):
            writer.put(message(2))
    finally:
        master.ask("CONFIG", "SET", "appendonly", "yes")
    wait_until(lambda: _puts(writer, 3))
    writer.close()


def test_a_writer_without_a_spool_finds_the_new_master_by_itself(
    writer: RedisWriter, empty: Sentinels
) -> None:
    writer.put(message(1))
    new = empty.fail_over()
    wait_until(lambda: _puts(writer, 2))
    assert set(kept(empty.url)) == {message(1).id, message(2).id}
    assert new.ask("XLEN", "{fota:0}:messages") == 2


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["kill", "freeze", "hand over"])
def test_a_failover_under_load_loses_nothing_and_doubles_nothing(
    empty: Sentinels, tmp_path: Path, harm: str
) -> None:
    environ = {"SPOOL_DIR": str(tmp_path), "QUEUE_DURABILITY": "replicas:1"}
    with keeping(empty.url, **environ) as keeper:
        with Load(keeper) as load:
            wait_until(lambda: len(kept(empty.url)) > 50)
            old = empty.master()
            _harm(empty, old, harm)
            before = len(load.acknowledged)
            wait_until(lambda: keeper.check() == "redis" and len(load.acknowledged) > before + 50)
        spool = Spool(tmp_path, 2**30)
        wait_until(lambda: len(spool.oldest(10_000)) == 0)
        spool.close()
    empty.rejoin(old)
    assert load.refused == 0
    assert kept(empty.url) == dict.fromkeys(load.acknowledged, 1)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("begins", ["before", "afterwards"])
def test_a_replica_that_has_gone_is_missed_and_then_given_up(
    writer: RedisWriter, empty: Sentinels, monkeypatch: pytest.MonkeyPatch, begins: str
) -> None:
    """Who is promoted leaves its master, as who dies does, whom no Sentinel sends back.

    A worker may get its first message only then.
    """
    wait_until(lambda: _puts(writer, 1) and _noted(empty) == 2)
    gone = empty.replicas()[0]
    gone.kill()
    try:
        other = opened(empty.url, QUEUE_DURABILITY="replicas:1")
        with pytest.raises(QueueUnavailableError, match="WAIT: 1 of 2"):
            (writer if begins == "before" else other).put(message(2))
        other.close()
        monkeypatch.setattr(replica_tracking, "MISSED_FOR_MS", 0)
        patient = opened(empty.url, QUEUE_DURABILITY="replicas:1")
        # A busy master may see only later that the one is gone, and for a moment it may miss the other one as well.
        wait_until(lambda: _puts(patient, 2) and _noted(empty) == 1)
        assert empty.master().ask("XLEN", "{fota:0}:messages") == 2, "it was written before"
        patient.close()
    finally:
        empty.rejoin(gone)
    wait_until(lambda: _puts(writer, 3) and _noted(empty) == 2)


def test_a_replica_that_hangs_is_missed_and_then_given_up(
    writer: RedisWriter, empty: Sentinels, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_until(lambda: _puts(writer, 1) and _noted(empty) == 2)
    hung = empty.replicas()[0]
    hung.freeze()
    try:
        with pytest.raises(QueueUnavailableError, match="WAIT: 1 of 2"):
            writer.put(message(2))
        monkeypatch.setattr(replica_tracking, "MISSED_FOR_MS", 0)
        monkeypatch.setattr(replica_tracking, "SILENT_FOR_S", 1)
        patient = opened(empty.url, QUEUE_DURABILITY="replicas:1")
        wait_until(lambda: _puts(patient, 2))
        patient.close()
    finally:
        empty.rejoin(hung)


def test_the_startup_check_asks_the_master(empty: Sentinels) -> None:
    wait_until(lambda: _replicas(empty) == 2)
    with capture_logs() as logs:
        startup.check(settings(empty.url, QUEUE_DURABILITY="replicas:3"))
    details = [str(line.get("detail")) for line in logs]
    assert any("only 2 of 3 replicas" in detail for detail in details)
    assert logs[-1]["event"] == "redis checked"


def test_the_startup_check_says_what_fewer_copies_than_replicas_may_cost(empty: Sentinels) -> None:
    wait_until(lambda: _replicas(empty) == 2)
    for copies_asked, is_told in ((1, True), (2, False)):
        with capture_logs() as logs:
            startup.check(settings(empty.url, QUEUE_DURABILITY=f"replicas:{copies_asked}"))
        assert any("set replicas:2" in str(line.get("detail")) for line in logs) is is_told


def _replicas(group: Sentinels) -> int:
    """How many are at the master; one that an earlier test harmed may still be on its way back."""
    return len(group.master().ask("ROLE")[2])


def _noted(group: Sentinels) -> int:
    """How many replicas the master is known to have."""
    return int(group.master().ask("HGET", "{fota:0}:replicas", "replicas") or 0)


def _harm(group: Sentinels, master: Node, how: str) -> None:
    if how == "hand over":
        group.fail_over()
        return
    master.kill() if how == "kill" else master.freeze()
    group.new_master_after(master)


def _puts(writer: RedisWriter, number: int) -> bool:
    try:
        writer.put(message(number))
    except QueueUnavailableError:
        return False
    return True
