"""The queue on a real Redis: kept once, in order of arrival, or an error in time."""

import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis

from listener.errors import QueueUnavailableError
from listener.inspection.arrivals import read_arrivals
from listener.messages.message import Message
from listener.queue.keys import ARRIVALS_TTL_S, Partition
from listener.queue.writer import RedisWriter
from listener.redis_client.client import connect
from listener.settings.secret import Secret
from listener.settings.settings import Settings
from testbed.redis_servers import redis_process

pytestmark = pytest.mark.redis_flavour

STREAM = "{fota:0}:messages"
QUARANTINE = "{fota:0}:quarantine"
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def message(number: int = 0, **members: Any) -> Message:
    payload = {"type": "upgradeProgress", "upgradeProgress": {"upgradeId": f"u-{number}"}}
    return Message.from_payload({**payload, **members}, arrived=NOW, request_id="r")


def open_queue(url: str, **environ: str) -> RedisWriter:
    return RedisWriter(Settings.from_env({"REDIS_URL": url, "ALLOW_ANY_SENDER": "true", **environ}))


@pytest.fixture
def queue(redis_url: str) -> Iterator[RedisWriter]:
    opened = open_queue(redis_url)
    yield opened
    opened.close()


def test_a_message_is_an_entry_with_the_fields_of_the_contract(
    queue: RedisWriter, redis_client: Any
) -> None:
    receipt = queue.put(message())
    [(entry_id, fields)] = redis_client.xrange(STREAM)
    assert (receipt.entry_id, receipt.duplicate) == (entry_id, False)
    assert fields == {
        name: value.decode() if isinstance(value, bytes) else value
        for name, value in message().fields().items()
    }


def test_the_same_content_again_adds_nothing_and_names_the_first(
    queue: RedisWriter, redis_client: Any
) -> None:
    first = queue.put(message())
    again = queue.put(message(username="u", password="p"))
    assert (again.entry_id, again.duplicate) == (first.entry_id, True)
    assert redis_client.xlen(STREAM) == 1


def test_many_at_once_from_several_writers_leave_one(redis_url: str, redis_client: Any) -> None:
    queues = [open_queue(redis_url) for _ in range(4)]
    together = threading.Barrier(20)

    def put(number: int) -> bool:
        together.wait()
        return queues[number % len(queues)].put(message()).duplicate

    with ThreadPoolExecutor(20) as pool:
        duplicates = list(pool.map(put, range(20)))
    for opened in queues:
        opened.close()
    assert sorted(duplicates) == [False] + [True] * 19
    assert redis_client.xlen(STREAM) == 1


def test_a_fingerprint_is_remembered_for_the_window(redis_url: str, redis_client: Any) -> None:
    opened = open_queue(redis_url, DEDUPE_WINDOW_S="600")
    opened.put(message())
    opened.close()
    [key] = redis_client.keys("{fota:0}:seen:[0-9]*")
    assert 1190 < redis_client.ttl(key) <= 1200


def test_after_the_window_the_same_content_is_a_new_message(
    queue: RedisWriter, redis_client: Any
) -> None:
    queue.put(message())
    redis_client.delete(*redis_client.keys("{fota:0}:seen:[0-9]*"))
    assert not queue.put(message()).duplicate
    assert redis_client.xlen(STREAM) == 2


def test_messages_of_one_upgrade_share_a_partition(redis_url: str, redis_client: Any) -> None:
    opened = open_queue(redis_url, QUEUE_PARTITIONS="3", QUEUE_NAMESPACE="fleet")
    for number in range(12):
        opened.put(message(number, step=1))
        opened.put(message(number, step=2))
    opened.close()
    seen: dict[str, set[int]] = {}
    for partition in range(3):
        for _, fields in redis_client.xrange(f"{{fleet:{partition}}}:messages"):
            seen.setdefault(fields["subject"], set()).add(partition)
    assert len(seen) == 12
    assert all(len(partitions) == 1 for partitions in seen.values())
    assert len({next(iter(partitions)) for partitions in seen.values()}) == 3


def test_the_quarantine_keeps_each_refused_body_once(queue: RedisWriter, redis_client: Any) -> None:
    for reason in ("not-json", "not-json", "wrong-shape"):
        queue.quarantine("{", reason=reason, arrived=NOW)
    entries = [fields for _, fields in redis_client.xrange(QUARANTINE)]
    time_ = "2026-11-23T00:00:00.000000Z"
    assert entries == [
        {"reason": "not-json", "data": "{", "time": time_},
        {"reason": "wrong-shape", "data": "{", "time": time_},
    ]


def test_the_quarantine_is_bounded(redis_url: str, redis_client: Any) -> None:
    opened = open_queue(redis_url, QUARANTINE_MAX_LENGTH="50")
    for number in range(400):
        opened.quarantine(f"{number}", reason="not-json", arrived=NOW)
    opened.close()
    # Approximate trimming drops whole nodes of 100 entries.
    assert 50 <= redis_client.xlen(QUARANTINE) < 200
    assert redis_client.xrevrange(QUARANTINE, count=1)[0][1]["data"] == "399"


def test_a_message_refused_once_can_be_kept_once_it_is_accepted(
    queue: RedisWriter, redis_client: Any
) -> None:
    content = message()
    queue.quarantine(content.data.decode(), reason="account-refused", arrived=NOW)
    assert not queue.put(content).duplicate


@pytest.mark.parametrize(
    ("settings", "restore"),
    [
        ({"maxmemory": "1"}, {"maxmemory": "0"}),
        ({"min-replicas-to-write": "1"}, {"min-replicas-to-write": "0"}),
    ],
    ids=["out of memory", "too few replicas"],
)
def test_a_redis_that_refuses_writes_is_unavailable(
    queue: RedisWriter,
    redis_client: Any,
    settings: dict[str, str],
    restore: dict[str, str],
) -> None:
    queue.check()
    try:
        for name, value in settings.items():
            redis_client.config_set(name, value)
        with pytest.raises(QueueUnavailableError):
            queue.put(message())
        with pytest.raises(QueueUnavailableError):
            queue.check()
    finally:
        for name, value in restore.items():
            redis_client.config_set(name, value)
    assert not queue.put(message()).duplicate


def test_a_key_of_another_type_is_an_outage_not_a_crash(
    queue: RedisWriter, redis_client: Any
) -> None:
    redis_client.set(STREAM, "somebody else's")
    with pytest.raises(QueueUnavailableError):
        queue.put(message())


@pytest.fixture
def own_server() -> Iterator[str]:
    """The URL of a Redis of the test's own, to do harm to."""
    with (
        tempfile.TemporaryDirectory(prefix="fota-") as folder,
        redis_process.running(Path(folder)) as url,
    ):
        yield url


def test_a_redis_that_hangs_is_noticed_within_the_budget(own_server: str) -> None:
    opened = open_queue(own_server)
    opened.put(message(1))
    with redis.Redis.from_url(own_server) as client:
        info: Any = client.info("server")
    pid = info["process_id"]
    os.kill(pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        with pytest.raises(QueueUnavailableError):
            opened.put(message(2))
        # The budget is 1 s; what redis-py does by itself takes tens of seconds.
        assert time.monotonic() - started < 5
    finally:
        os.kill(pid, signal.SIGCONT)
    assert opened.put(message(1)).duplicate
    opened.close()


def test_a_restarted_redis_is_found_again_without_an_error() -> None:
    with tempfile.TemporaryDirectory(prefix="fota-") as folder:
        with redis_process.running(Path(folder)) as url:
            opened = open_queue(url)
            opened.put(message(1))
        with pytest.raises(QueueUnavailableError):
            opened.put(message(2))
        with redis_process.running(Path(folder)):
            assert opened.put(message(1)).duplicate, "the file kept what was confirmed"
            assert not opened.put(message(2)).duplicate
        opened.close()


def test_a_connection_that_the_server_ended_costs_no_message(own_server: str) -> None:
    with closing(open_queue(own_server)) as opened, redis.Redis.from_url(own_server) as client:
        for number in range(3):
            assert not opened.put(message(number)).duplicate
            assert client.client_kill_filter(_type="normal", skipme=True)
        assert client.xlen(STREAM) == 3


@pytest.mark.parametrize("retry", [False, True])
def test_a_connection_that_the_server_ended_is_replaced(own_server: str, *, retry: bool) -> None:
    client = connect(Secret(own_server), timeout_s=1, name="fota-test", retry=retry)
    with closing(client), redis.Redis.from_url(own_server) as other:
        assert client.ping()
        assert other.client_kill_filter(_type="normal", skipme=True)
        assert client.ping()


def test_an_answer_that_came_too_late_is_nobody_elses(own_server: str) -> None:
    with closing(connect(Secret(own_server), timeout_s=0.3, name="fota-test")) as client:
        with pytest.raises(redis.TimeoutError):
            client.blpop("no-such-list", timeout=2)
        assert [client.echo(word) for word in ("one", "two")] == [b"one", b"two"]


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with (
        pytest.raises(redis_process.ServerFailedError, match="no-such-policy"),
        redis_process.running(tmp_path, options={"maxmemory-policy": "no-such-policy"}),
    ):
        pass


def test_the_embedded_server_writes_every_entry_to_disk(redis_client: Any) -> None:
    assert redis_client.config_get("append*")["appendfsync"] == "always"


MINUTE = 1_795_397_513 // 60


def counting(url: str, minute: int) -> RedisWriter:
    settings = Settings.from_env({"REDIS_URL": url, "ALLOW_ANY_SENDER": "true"})
    return RedisWriter(settings, clock=lambda: 60.0 * minute + 59)


def test_what_came_is_counted_by_minute_and_kind_without_duplicates(
    redis_url: str, redis_client: Any
) -> None:
    last = MINUTE - MINUTE % 60 - 1
    with closing(counting(redis_url, last)) as writer:
        for number in (1, 1, 2):
            writer.put(message(number))
    with closing(counting(redis_url, last + 1)) as writer:
        writer.put(message(3))
        writer.quarantine("{", reason="not-json", arrived=NOW)
    now = datetime.fromtimestamp(60 * (last + 1), UTC)
    assert read_arrivals(redis_client, [Partition("fota", 0)], now) == {
        last: {"upgrade-started": 2},
        last + 1: {"upgrade-started": 1, "quarantined": 1},
    }
    lifetimes = [redis_client.ttl(key) for key in redis_client.scan_iter("*:arrived:*")]
    assert len(lifetimes) == 2
    assert all(0 < seconds <= ARRIVALS_TTL_S for seconds in lifetimes)


def test_a_count_that_cannot_be_kept_costs_no_message(redis_url: str, redis_client: Any) -> None:
    redis_client.set(Partition("fota", 0).arrival_counts(MINUTE // 60), "no hash")
    with closing(counting(redis_url, MINUTE)) as writer:
        assert not writer.put(message(1)).duplicate
    assert redis_client.xlen(STREAM) == 1
