"""Redis with the spool behind it: an outage costs nothing, and leaves no double."""

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import redis
from structlog.testing import capture_logs

from listener.errors import QueueUnavailableError
from listener.messages.message import Message
from listener.queue import fingerprints
from listener.queue.drainer import Drainer
from listener.queue.keys import partition_number
from listener.queue.queue import DurableQueue
from listener.queue.stream_writer import MAX_BATCH_BYTES, MAX_BATCH_MESSAGES
from listener.queue.writer import RedisWriter
from listener.redis_client.server_info import inspect
from listener.spool.spool import Spool
from testbed.polling import wait_until
from tests.support.queue_environment import NOW, QueueEnvironment, message

pytestmark = pytest.mark.redis_flavour

STREAM = "{fota:0}:messages"


@pytest.fixture
def environment(redis_server: str) -> Iterator[QueueEnvironment]:
    with TemporaryDirectory(prefix="fota-") as folder:
        yield QueueEnvironment(Path(folder))


def test_while_redis_is_down_messages_are_spooled_and_then_moved_in_order(
    environment: QueueEnvironment,
) -> None:
    with environment.queue() as queue:
        with environment.server():
            assert queue.put(message(0)) == (False, "redis")
            assert queue.check() == "redis"
        for number in range(1, 50):
            assert queue.put(message(number)) == (False, "spool")
        assert queue.put(message(7)) == (True, "spool"), "a duplicate is known in the spool too"
        assert queue.check() == "spool"
        with environment.server():
            wait_until(lambda: environment.spooled() == 0)
            assert environment.stream() == list(range(50))
            assert queue.check() == "redis"
            assert queue.put(message(7)) == (True, "redis")


def test_other_hosts_hear_that_messages_wait_until_they_have_moved(
    environment: QueueEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce, heard = RedisWriter.announce_spool, []

    def overheard(writer: RedisWriter, is_waiting: bool) -> None:
        announce(writer, is_waiting)
        [stored] = [writer._redis.zrange("{fota:0}:spools", 0, -1)]
        heard.append((is_waiting, len(stored), len(environment.stream())))

    monkeypatch.setattr(RedisWriter, "announce_spool", overheard)
    with environment.queue() as queue:
        for number in range(3):
            assert queue.put(message(number)).stored_in == "spool"
        with environment.server():
            wait_until(lambda: len(heard) == 2)
    assert heard == [(True, 1, 0), (False, 0, 3)]


def test_trace_context_of_what_came_first_outlives_an_outage(environment: QueueEnvironment) -> None:
    first, second = (f"00-0af7651916cd43dd8448eb211c80319c-{n:016x}-01" for n in (1, 2))
    with environment.queue() as queue:
        assert queue.put(message(1)._replace(traceparent=first)) == (False, "spool")
        assert queue.put(message(1)._replace(traceparent=second)) == (True, "spool")
        assert queue.put(message(2)) == (False, "spool")
        with environment.server():
            wait_until(lambda: environment.spooled() == 0)
            assert queue.put(message(2)._replace(traceparent=second)) == (True, "redis")
            with redis.Redis.from_url(environment.url, decode_responses=True) as client:
                entries: Any = client.xrange(STREAM)
    assert [fields.get("traceparent") for _, fields in entries] == [first, None]


def test_once_the_outage_is_noticed_nobody_waits_for_redis(environment: QueueEnvironment) -> None:
    with environment.queue(ACK_BUDGET_MS="1000") as queue, environment.server():
        queue.put(message(0))
        with redis.Redis.from_url(environment.url) as client:
            info: Any = client.info("server")
        os.kill(info["process_id"], signal.SIGSTOP)
        try:
            queue.put(message(1))
            started = time.monotonic()
            for number in range(2, 12):
                queue.put(message(number))
            # Ten times the budget would be ten seconds; the journal takes milliseconds.
            assert time.monotonic() - started < 5
        finally:
            os.kill(info["process_id"], signal.SIGCONT)
        wait_until(lambda: environment.spooled() == 0)
        # What hung may have been written after all, and was spooled too: once is enough.
        assert sorted(environment.stream()) == list(range(12))


def test_a_redis_out_of_memory_costs_nothing(environment: QueueEnvironment) -> None:
    with environment.queue() as queue, environment.server():
        with redis.Redis.from_url(environment.url) as client:
            client.config_set("maxmemory", "1")
            for number in range(5):
                queue.put(message(number))
            assert client.xlen(STREAM) == 0
            client.config_set("maxmemory", "0")
        wait_until(lambda: environment.spooled() == 0)
        assert environment.stream() == list(range(5))


def test_a_key_that_is_no_stream_is_one_outage_until_it_is_gone(
    environment: QueueEnvironment,
) -> None:
    with (
        environment.queue() as queue,
        environment.server(),
        redis.Redis.from_url(environment.url) as client,
    ):
        client.set(STREAM, "somebody else's")
        queue.put(message(1))
        began = queue._down_partitions.numbers
        assert began == {0}
        with pytest.raises(QueueUnavailableError, match="WRONGTYPE"):
            queue._writer.check()
        assert queue.check() == "spool"
        client.delete(STREAM)
        wait_until(lambda: environment.spooled() == 0)
        assert environment.stream() == [1]


def test_what_a_dead_process_left_is_moved_by_the_next(environment: QueueEnvironment) -> None:
    spool = Spool(environment.folder / "spool", 2**20)
    for number in range(600):
        spool.put(message(number), 1)
    spool.close()
    with environment.queue(), environment.server():
        wait_until(lambda: environment.spooled() == 0)
        assert environment.stream() == list(range(600))


def test_large_messages_are_moved_in_groups_that_redis_can_take_in_time(
    environment: QueueEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_all, sizes = RedisWriter.put_all, []

    def weigh(writer: RedisWriter, partition: int, group: Sequence[Message]) -> None:
        sizes.append(sum(len(each.data) for each in group))
        put_all(writer, partition, group)

    monkeypatch.setattr(RedisWriter, "put_all", weigh)
    spool = Spool(environment.folder / "spool", 2**30)
    for number in range(10):
        payload = {"type": "new", "n": number, "padding": "x" * 1_000_000}
        spool.put(Message.from_payload(payload, arrived=NOW, request_id="r"), 10)
    spool.close()
    with environment.server(), environment.queue():
        wait_until(lambda: environment.spooled() == 0)
        assert environment.stream() == list(range(10))
    assert max(sizes) <= MAX_BATCH_BYTES


def test_a_partition_that_is_down_does_not_hold_up_what_waits_for_the_others(
    environment: QueueEnvironment,
) -> None:
    by_partition: dict[int, list[int]] = {0: [], 1: []}
    spool = Spool(environment.folder / "spool", 2**24)
    for number in range(600):
        payload = {"type": "new", "n": number, "accountName": f"a-{number % 7}"}
        sent = Message.from_payload(payload, arrived=NOW, request_id="r")
        spool.put(sent, 1)
        by_partition[partition_number(sent, 2)].append(number)
    spool.close()
    with environment.server(), redis.Redis.from_url(environment.url) as client:
        client.set(STREAM, "somebody else's")
        with environment.queue(QUEUE_PARTITIONS="2"):
            wait_until(lambda: environment.spooled() == len(by_partition[0]))
            assert environment.stream(1) == by_partition[1]
            client.delete(STREAM)
            wait_until(lambda: environment.spooled() == 0)
        assert (environment.stream(0), environment.stream(1)) == (by_partition[0], by_partition[1])


def spool_for(environment: QueueEnvironment, accounts: Sequence[str]) -> dict[int, list[int]]:
    """Spools a message of each account, in order; returns their numbers by partition, of two."""
    by_partition: dict[int, list[int]] = {0: [], 1: []}
    with closing(Spool(environment.folder / "spool", 2**24)) as spool:
        for number, account in enumerate(accounts):
            payload = {"type": "new", "n": number, "accountName": account}
            sent = Message.from_payload(payload, arrived=NOW, request_id="r")
            spool.put(sent, 1)
            by_partition[partition_number(sent, 2)].append(number)
    return by_partition


def account_in(partition: int) -> str:
    """An account whose messages are in this partition, of two."""
    for name in map(str, range(100)):
        payload = {"type": "new", "accountName": name}
        sent = Message.from_payload(payload, arrived=NOW, request_id="r")
        if partition_number(sent, 2) == partition:
            return name
    raise AssertionError


@contextmanager
def turning(environment: QueueEnvironment) -> Iterator[Drainer]:
    """A drainer of two partitions whose turns are the test's."""
    queue = DurableQueue(environment.settings(QUEUE_PARTITIONS="2"))
    try:
        yield queue._drainer
    finally:
        queue.close()


@pytest.mark.parametrize(
    "before", [MAX_BATCH_MESSAGES - 1, MAX_BATCH_MESSAGES, 3 * MAX_BATCH_MESSAGES]
)
def test_one_turn_moves_what_waits_behind_many_messages_of_a_partition_that_is_down(
    environment: QueueEnvironment, before: int
) -> None:
    waiting = spool_for(environment, [account_in(0)] * before + [account_in(1)])
    with (
        environment.server(),
        redis.Redis.from_url(environment.url) as client,
        turning(environment) as drainer,
    ):
        client.set(STREAM, "somebody else's")
        drainer.run_once()
        assert environment.stream(1) == waiting[1] == [before]
        assert environment.spooled() == before
        client.delete(STREAM)
        drainer.run_once()
        assert environment.stream(0) == waiting[0]


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("ends_after", [1, 2, 4])
def test_the_end_of_an_outage_is_noticed_while_messages_of_others_move(
    environment: QueueEnvironment, monkeypatch: pytest.MonkeyPatch, ends_after: int
) -> None:
    waiting = spool_for(environment, [account_in(number % 3 % 2) for number in range(1000)])
    put_all, groups = RedisWriter.put_all, []
    with (
        environment.server(),
        redis.Redis.from_url(environment.url) as client,
        turning(environment) as drainer,
    ):

        def count(writer: RedisWriter, partition: int, group: Sequence[Message]) -> None:
            groups.append(partition)
            if partition == 1 and groups.count(1) == ends_after:
                client.delete(STREAM)
            put_all(writer, partition, group)

        client.set(STREAM, "somebody else's")
        monkeypatch.setattr(RedisWriter, "put_all", count)
        monkeypatch.setattr("listener.queue.drainer.CHECK_EVERY_S", 0)
        # By a clock that stands no check takes long, so that one follows each batch.
        monkeypatch.setattr(drainer, "_clock", lambda: 0.0)
        drainer.run_once()
        assert (environment.stream(0), environment.stream(1)) == (waiting[0], waiting[1])
        assert environment.spooled() == 0


def test_a_spool_that_cannot_be_used_is_told_once_and_costs_nothing_else(
    environment: QueueEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    (environment.folder / "file").write_text("no folder")
    turn, turns = Drainer.run_once, []

    def count(drainer: Drainer) -> None:
        turns.append(drainer)
        turn(drainer)

    monkeypatch.setattr(Drainer, "run_once", count)
    folder = f"{environment.folder}/file/spool"
    with (
        capture_logs() as logs,
        environment.server(),
        environment.queue(SPOOL_DIR=folder) as queue,
    ):
        assert not queue.put(message(1)).duplicate
        wait_until(lambda: len(turns) > 3)
    assert [line["event"] for line in logs if "draining" in line["event"]] == ["draining stopped"]


def test_who_stops_waits_for_one_partition_that_hangs_not_for_all(
    environment: QueueEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []

    def stop_meanwhile(_: RedisWriter, partition: int) -> None:
        looked.append(partition)
        drainer.stop()
        raise QueueUnavailableError("hangs")

    monkeypatch.setattr(RedisWriter, "check", stop_meanwhile)
    drainer = DurableQueue(environment.settings(QUEUE_PARTITIONS="4"))._drainer
    for partition in range(4):
        drainer._down_partitions.mark_down(partition, "hangs")
    drainer.run_once()
    assert len(looked) == 1


def test_what_the_journal_cannot_forget_is_not_added_again_after_the_window(
    environment: QueueEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = Spool.remove
    failed: list[Any] = []

    def fail_for_a_while(spool: Spool, moved: Any) -> None:
        if len(failed) < 8:
            failed.append(moved)
            raise QueueUnavailableError("spool: OperationalError: database or disk is full")
        remove(spool, moved)

    monkeypatch.setattr(Spool, "remove", fail_for_a_while)
    with environment.queue(DEDUPE_WINDOW_S="1") as queue:
        queue.put(message(1))
        with environment.server():
            # Eight looks of the drainer take two seconds, twice the window.
            wait_until(lambda: environment.spooled() == 0)
            assert environment.stream() == [1]


def test_after_an_outage_longer_than_the_window_what_was_written_before_it_is_not_doubled(
    environment: QueueEnvironment,
) -> None:
    payload = {"type": "new", "n": 1}
    sent = Message.from_payload(payload, arrived=datetime.now(UTC), request_id="r")
    with environment.server(), redis.Redis.from_url(environment.url) as client:
        with client.pipeline(transaction=False) as others:
            for _ in range(fingerprints.PAGE + 1):
                others.xadd(STREAM, {"id": "another", "data": '{"n": 0}'})
            others.execute()
        with environment.queue(QUEUE_DURABILITY="replicas:1", DEDUPE_WINDOW_S="1") as unsure:
            # Written, and not confirmed, because there is no replica.
            unsure.put(sent)
        assert environment.spooled() == 1
        wait_until(lambda: not client.keys("*:seen:[0-9]*"))
        with environment.queue(DEDUPE_WINDOW_S="4") as queue:
            spool = Spool(environment.folder / "spool", 2**20)
            spool.put(message(2), 1)
            spool.close()
            wait_until(lambda: environment.spooled() == 0)
            assert queue.put(sent).duplicate
    with environment.server():
        assert [number for number in environment.stream() if number] == [1, 2]


def test_one_process_of_a_host_drains_and_another_takes_over(environment: QueueEnvironment) -> None:
    with environment.server(), environment.queue() as second:
        with environment.queue():
            second.put(message(1))
        spool = Spool(environment.folder / "spool", 2**20)
        spool.put(message(2), 1)
        spool.close()
        wait_until(lambda: environment.spooled() == 0)
        assert environment.stream() == [1, 2]


def test_a_queue_that_is_closed_leaves_no_thread_and_can_be_closed_again(
    environment: QueueEnvironment,
) -> None:
    before = set(threading.enumerate())
    with environment.server(), environment.queue() as queue:
        queue.put(message(1))
        queue.quarantine("{}", reason="not-json", arrived=NOW)
        queue.close()
        wait_until(lambda: set(threading.enumerate()) <= before)
        queue.close()
        with pytest.raises(QueueUnavailableError):
            queue.put(message(2))


def test_a_queue_closes_in_time_while_redis_hangs(environment: QueueEnvironment) -> None:
    with environment.server(), redis.Redis.from_url(environment.url) as client:
        info: Any = client.info("server")
        with environment.queue(ACK_BUDGET_MS="200") as queue:
            queue.put(message(1))
            os.kill(info["process_id"], signal.SIGSTOP)
            try:
                assert queue.put(message(2)).stored_in == "spool"
                began = time.monotonic()
                queue.close()
                # The drainer's check at most: connecting, a write, and what else it needs.
                assert time.monotonic() - began < 10
            finally:
                os.kill(info["process_id"], signal.SIGCONT)
    assert environment.spooled() == 1


def test_without_a_spool_an_outage_is_an_error(environment: QueueEnvironment) -> None:
    with environment.queue(SPOOL_DIR="") as queue:
        with pytest.raises(QueueUnavailableError):
            queue.put(message(1))
        with pytest.raises(QueueUnavailableError):
            queue.check()
        with environment.server():
            assert not queue.put(message(1)).duplicate


def test_with_redis_down_and_the_spool_full_it_is_an_error(environment: QueueEnvironment) -> None:
    with environment.queue(SPOOL_MAX_BYTES=str(2**16)) as queue:
        padded = "x" * 10_000
        with pytest.raises(QueueUnavailableError, match="spool"):
            for number in range(20):
                payload = {"n": number, "padding": padded}
                queue.put(Message.from_payload(payload, arrived=NOW, request_id="r"))


@pytest.mark.parametrize("durability", ["server", "fsync", "replicas:1"])
def test_a_durability_that_is_met_keeps_messages_in_redis(
    environment: QueueEnvironment, durability: str
) -> None:
    with environment.server(), environment.queue(QUEUE_DURABILITY=durability) as queue:
        queue.put(message(1))
        queue.put(message(1))
        # There is no replica: the message is in Redis, but that is not what was asked for.
        assert environment.stream() == [1]
        assert environment.spooled() == (1 if durability == "replicas:1" else 0)


def knows_waitaof(environment: QueueEnvironment) -> bool:
    with redis.Redis.from_url(environment.url) as client:
        return inspect(client).supports_waitaof


@pytest.mark.parametrize("appendfsync", ["everysec", "no"])
def test_fsync_waits_for_the_disk_where_the_server_can_tell(
    environment: QueueEnvironment, appendfsync: str
) -> None:
    options = {"QUEUE_DURABILITY": "fsync", "SPOOL_DIR": "", "ACK_BUDGET_MS": "3000"}
    with environment.server(appendfsync=appendfsync), environment.queue(**options) as queue:
        if not knows_waitaof(environment):
            with pytest.raises(QueueUnavailableError, match="WAITAOF"):
                queue.put(message(1))
        elif appendfsync == "everysec":
            assert not queue.put(message(1)).duplicate
            assert queue.put(message(1)).duplicate
        else:
            # Nobody asks the disk to sync, so it is never confirmed, and never acknowledged. The wait may be made twice,
            # for the write of `seen:strings` as well, and then the time of the request is over first.
            with pytest.raises(QueueUnavailableError, match=r"WAITAOF: 0 of 1|took too long"):
                queue.put(message(1))


def test_a_duplicate_waits_for_the_first_writing_too(environment: QueueEnvironment) -> None:
    options = {"QUEUE_DURABILITY": "fsync", "SPOOL_DIR": ""}
    with (
        environment.server(appendfsync="no"),
        environment.queue(**{**options, "QUEUE_DURABILITY": "server"}) as careless,
        environment.queue(**options) as careful,
    ):
        careless.put(message(1))
        with pytest.raises(QueueUnavailableError):
            careful.put(message(1))


def test_fsync_is_not_pretended_where_the_server_cannot(environment: QueueEnvironment) -> None:
    with (
        environment.server(appendonly="no"),
        environment.queue(QUEUE_DURABILITY="fsync", SPOOL_DIR="") as queue,
        pytest.raises(QueueUnavailableError, match="append-only file"),
    ):
        queue.put(message(1))
