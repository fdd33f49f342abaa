"""Redis, or what stands before it, refuses one thing and takes others: nothing else is held up, and nothing is lost."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import redis
from structlog.testing import capture_logs

from listener.diagnostics import startup
from listener.errors import MessageRefusedError, QueueUnavailableError, SettingsError
from listener.queue.keys import Partition
from listener.redis_client.server_info import inspect
from listener.spool.spool import JOURNAL
from testbed.polling import wait_until
from testbed.proxies.resp_proxy import RespProxy
from testbed.redis_servers import redis_process
from tests.support.cli import run
from tests.support.queue_environment import NOW, QueueEnvironment, message

pytestmark = pytest.mark.redis_flavour

STREAM = "{fota:0}:messages"
MIB = 2**20
OUTAGE = ("redis does not confirm; spooling", "redis confirms again")


class ProxiedQueue(QueueEnvironment):
    """The same behind a proxy, with a Redis server that runs all the time."""

    def __init__(self, folder: Path, proxy: RespProxy, client: Any) -> None:
        super().__init__(folder, proxy.url)
        self.proxy = proxy
        self.redis = client

    def set_aside(self) -> dict[str, str]:
        """The reason for each message id."""
        with closing(sqlite3.connect(self.folder / "spool" / JOURNAL)) as journal:
            return dict(journal.execute("SELECT id, reason FROM set_aside"))

    def user(self, *rules: str) -> str:
        """The URL of a new user with these rights, past the proxy."""
        self.redis.execute_command("ACL", "SETUSER", "app", "reset", "on", ">p", *rules)
        return f"{self.server_url}?username=app&password=p"

    def check(self, url: str, **environ: str) -> Any:
        spool = {"ALLOW_ANY_SENDER": "true", "SPOOL_DIR": f"{self.folder}/spool"}
        return run(url, "check", **spool, **environ)


@pytest.fixture
def proxied(redis_server: str) -> Iterator[ProxiedQueue]:
    with (
        TemporaryDirectory(prefix="fota-") as name,
        redis_process.running(Path(name)) as url,
        redis.Redis.from_url(url) as client,
        RespProxy(Path(name) / redis_process.SOCKET).running() as proxy,
    ):
        yield ProxiedQueue(Path(name), proxy, client)


def limit_requests(proxied: ProxiedQueue) -> None:
    proxied.proxy.most_bytes = MIB


def cut_large_requests(proxied: ProxiedQueue) -> None:
    proxied.proxy.cut_bytes = MIB


def limit_bulks(proxied: ProxiedQueue) -> None:
    proxied.redis.config_set("proto-max-bulk-len", MIB)


def answer_as_envoy(proxied: ProxiedQueue) -> None:
    proxied.proxy.most_bytes = MIB
    proxied.proxy.error = b"-upstream failure\r\n"


LIMITS = pytest.mark.parametrize(
    "limit", [limit_requests, cut_large_requests, limit_bulks, answer_as_envoy]
)
Limit = Callable[[ProxiedQueue], None]


@LIMITS
def test_a_spooled_message_that_is_refused_alone_holds_up_nothing(
    proxied: ProxiedQueue, limit: Limit
) -> None:
    limit(proxied)
    large = message(0, 1_500_000)
    proxied.spool(large, *map(message, range(1, 101)))
    with capture_logs() as logs, proxied.queue() as queue:
        wait_until(lambda: proxied.spooled() == 0)
        assert proxied.stream() == list(range(1, 101))
        assert queue.put(message(101)) == (False, "redis")
        assert queue.check() == "redis"
    assert list(proxied.set_aside()) == [large.id]
    assert not [line for line in logs if line["event"] in OUTAGE]


@LIMITS
def test_a_large_message_costs_those_that_come_with_it_nothing(
    proxied: ProxiedQueue, limit: Limit
) -> None:
    limit(proxied)
    large = message(0, 1_500_000)
    with capture_logs() as logs, proxied.queue() as queue, ThreadPoolExecutor(20) as pool:
        sent = [*map(message, range(1, 60)), large, *map(message, range(60, 120))]
        kept = dict(zip([m.id for m in sent], pool.map(queue.put, sent), strict=True))
        assert kept.pop(large.id) == (False, "spool")
        assert set(kept.values()) == {(False, "redis")}
        wait_until(lambda: proxied.spooled() == 0)
        assert list(proxied.set_aside()) == [large.id]
        assert queue.put(large).duplicate, "it is known although it is set aside"
    assert sorted(proxied.stream()) == list(range(1, 120))
    assert not [line for line in logs if line["event"] in OUTAGE]


@pytest.mark.quick_cases(2)
@LIMITS
def test_groups_that_are_too_large_are_halved_and_all_of_them_kept(
    proxied: ProxiedQueue, limit: Limit
) -> None:
    limit(proxied)
    with proxied.queue() as queue, ThreadPoolExecutor(12) as pool:
        sent = [message(number, 300_000) for number in range(24)]
        assert {kept.stored_in for kept in pool.map(queue.put, sent)} == {"redis"}
        proxied.spool(*(message(number, 300_000) for number in range(24, 48)))
        wait_until(lambda: len(proxied.stream()) == 48)
        wait_until(lambda: proxied.spooled() == 0)
        assert proxied.stream()[24:] == list(range(24, 48))


def test_batches_that_are_too_slow_become_smaller(proxied: ProxiedQueue) -> None:
    proxied.proxy.seconds_per_mib = 0.5
    proxied.spool(*(message(number, 400_000) for number in range(10)))
    # Four times the budget for what waited: 1.2 s, and all of it would take two.
    with proxied.queue(ACK_BUDGET_MS="300"):
        wait_until(lambda: proxied.spooled() == 0)
        assert proxied.stream() == list(range(10))


def test_without_a_spool_a_refused_message_is_an_error_and_the_others_are_kept(
    proxied: ProxiedQueue,
) -> None:
    limit_requests(proxied)
    with proxied.queue(SPOOL_DIR="") as queue, ThreadPoolExecutor(8) as pool:
        refused = pool.submit(queue.put, message(0, 1_500_000))
        kept = list(pool.map(queue.put, map(message, range(1, 50))))
        with pytest.raises(MessageRefusedError, match="max request size"):
            refused.result()
        assert {each.stored_in for each in kept} == {"redis"}


@pytest.mark.parametrize("waits", [True, False])
def test_a_key_of_one_message_that_holds_something_else_concerns_that_message_alone(
    proxied: ProxiedQueue, *, waits: bool
) -> None:
    harmed = message(5)
    key = Partition("fota", 0).fingerprint_hash(harmed.id)
    proxied.redis.rpush(key, "somebody else's")
    with capture_logs() as logs:
        if waits:
            proxied.spool(*map(message, range(10)))
        with proxied.queue() as queue, ThreadPoolExecutor(10) as pool:
            kept = list(pool.map(queue.put, () if waits else map(message, range(10))))
            for number, each in enumerate(kept):
                assert each == (False, "spool" if number == 5 else "redis"), number
            wait_until(lambda: proxied.spooled() == 0)
    assert sorted(proxied.stream()) == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert "WRONGTYPE" in proxied.set_aside()[harmed.id]
    assert not [line for line in logs if line["event"] in OUTAGE]


def test_order_within_an_upgrade_is_kept_behind_a_refused_message(proxied: ProxiedQueue) -> None:
    limit_requests(proxied)
    sent = [message(number, 1_500_000 if number == 3 else 0, upgradeId="u") for number in range(30)]
    proxied.spool(*sent)
    with proxied.queue():
        wait_until(lambda: proxied.spooled() == 0)
    assert proxied.stream() == [number for number in range(30) if number != 3]


def test_a_connection_that_is_cut_now_and_then_sets_nothing_aside(proxied: ProxiedQueue) -> None:
    stopped = threading.Event()

    def cut() -> None:
        while not stopped.wait(0.02):
            proxied.redis.client_kill_filter(_type="normal", skipme=True)

    proxied.spool(*map(message, range(1000)))
    cutting = threading.Thread(target=cut)
    cutting.start()
    try:
        with proxied.queue() as queue:
            for number in range(1000, 1100):
                queue.put(message(number))
            wait_until(lambda: proxied.spooled() == 0)
    finally:
        stopped.set()
        cutting.join()
    assert sorted(proxied.stream()) == list(range(1100))
    assert proxied.set_aside() == {}


NEEDED = ("evalsha", "eval", "xadd", "set", "get", "xrange")


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("command", NEEDED)
def test_a_missing_right_is_named_everywhere_and_is_one_outage(
    proxied: ProxiedQueue, command: str
) -> None:
    url = proxied.user("~*", "+@all", f"-{command}")
    with pytest.raises(SettingsError, match=rf"grant \+{command}"):
        startup.check(proxied.settings(REDIS_URL=url, SPOOL_DIR=""))
    with capture_logs() as logs:
        startup.check(proxied.settings(REDIS_URL=url))
        with proxied.queue(REDIS_URL=url) as queue:
            assert queue.check() == "spool"
            assert queue.put(message(1)).stored_in == "spool"
            looks = proxied.redis.info("commandstats")
            wait_until(lambda: _more_calls(proxied, looks))
            proxied.redis.execute_command("ACL", "SETUSER", "app", f"+{command}")
            wait_until(lambda: proxied.spooled() == 0)
            assert queue.check() == "redis"
            # The thread that moved the message logs this after the message is gone from the spool.
            wait_until(lambda: OUTAGE[1] in [line["event"] for line in logs])
    events = [line["event"] for line in logs]
    assert "redis cannot keep messages" in events
    assert [events.count(event) for event in OUTAGE] == [1, 1]
    assert proxied.stream() == [1]


def _more_calls(proxied: ProxiedQueue, before: Any) -> bool:
    """Whether the drainer has looked some times more."""
    client = proxied.redis.info("commandstats")
    asked = [sum(each["rejected_calls"] for each in stats.values()) for stats in (before, client)]
    return bool(asked[1] >= asked[0] + 4)


@pytest.mark.parametrize("command", NEEDED)
def test_check_is_an_error_where_a_right_is_missing(proxied: ProxiedQueue, command: str) -> None:
    checked = proxied.check(proxied.user("~*", "+@all", f"-{command}"))
    assert checked.exit_code == 1
    assert f"grant +{command}" in checked.stdout


@pytest.mark.parametrize("command", ["EVALSHA", "XADD"])
def test_a_command_that_is_not_passed_on_is_named(proxied: ProxiedQueue, command: str) -> None:
    proxied.proxy.unsupported = frozenset((command,))
    checked = proxied.check(proxied.proxy.url)
    assert checked.exit_code == 1
    assert f"{command} is refused" in checked.stdout
    assert "does not pass it on" in checked.stdout


def test_what_durability_needs_is_asked_for(proxied: ProxiedQueue) -> None:
    checked = proxied.check(proxied.user("~*", "+@all", "-wait"), QUEUE_DURABILITY="replicas:1")
    assert checked.exit_code == 1
    assert "WAIT is refused" in checked.stdout
    assert "grant +wait" in checked.stdout


def test_one_partition_that_is_refused_leaves_the_other_alone(proxied: ProxiedQueue) -> None:
    url = proxied.user("~{fota:0}*", "+@all")
    sent = [message(number, accountName=f"a-{number % 7}") for number in range(60)]
    with capture_logs() as logs, proxied.queue(REDIS_URL=url, QUEUE_PARTITIONS="2") as queue:
        kept = [queue.put(each).stored_in for each in sent]
        assert {"redis", "spool"} == set(kept)
        assert proxied.spooled() == kept.count("spool")
        assert queue.check() == "spool"
        checked = proxied.check(url, QUEUE_PARTITIONS="2")
        proxied.redis.execute_command("ACL", "SETUSER", "app", "~{fota:1}*")
        wait_until(lambda: proxied.spooled() == 0)
    assert sorted([*proxied.stream(0), *proxied.stream(1)]) == list(range(60))
    assert checked.exit_code == 1
    assert "partition 1" in checked.stdout
    assert "grant the keys" in checked.stdout
    assert [line["partition"] for line in logs if line["event"] in OUTAGE] == [1, 1]


@pytest.mark.parametrize(
    ("partitions", "last"),
    [
        (3, "in partition 2: "),
        (4, "1 more partition is refused as well"),
        (5, "2 more partitions are refused as well"),
    ],
)
def test_three_refused_partitions_are_named_and_the_others_counted(
    proxied: ProxiedQueue, partitions: int, last: str
) -> None:
    settings = proxied.settings(
        REDIS_URL=proxied.user("~elsewhere", "+@all"), QUEUE_PARTITIONS=str(partitions)
    )
    assert last in startup.refused_partitions(settings)[-1]


@pytest.mark.parametrize("partitions", [2, 20])
def test_readiness_looks_at_every_partition_also_without_a_spool(
    proxied: ProxiedQueue, partitions: int
) -> None:
    last = partitions - 1
    others = [f"~{{fota:{number}}}*" for number in range(last)]
    chosen = {"QUEUE_PARTITIONS": str(partitions), "SPOOL_DIR": ""}
    url = proxied.user(*others, "+@all")
    with pytest.raises(SettingsError, match=f"in partition {last}: .*grant the keys"):
        startup.check(proxied.settings(REDIS_URL=url, **chosen))
    with proxied.queue(REDIS_URL=url, **chosen) as queue:
        with pytest.raises(QueueUnavailableError, match=f"in partition {last}: "):
            for _ in range(partitions):
                queue.check()
        proxied.redis.execute_command("ACL", "SETUSER", "app", f"~{{fota:{last}}}*")
        assert {queue.check() for _ in range(partitions)} == {"redis"}


def test_a_state_that_passes_is_no_reason_not_to_start(proxied: ProxiedQueue) -> None:
    proxied.redis.config_set("maxmemory", "1")
    with capture_logs() as logs:
        startup.check(proxied.settings(SPOOL_DIR=""))
    found = [line for line in logs if line["event"] == "redis cannot keep messages"]
    assert "OutOfMemory" in found[0]["detail"]


ORNAMENTS = ("client|setname", "hincrby", "expire", "info", "time", "config", "ping")


@pytest.mark.parametrize("command", ORNAMENTS)
def test_without_an_ornament_messages_flow_and_check_warns(
    proxied: ProxiedQueue, command: str
) -> None:
    if command == "client|setname" and proxied.redis.info("server")["redis_version"] < "7":
        # Redis 6.2 does not know rights by subcommand that are taken away.
        url = proxied.user("~*", "+@all", "-client")
    else:
        url = proxied.user("~*", "+@all", f"-{command}")
    startup.check(proxied.settings(REDIS_URL=url))
    with proxied.queue(REDIS_URL=url) as queue:
        assert queue.put(message(1)) == (False, "redis")
        proxied.spool(message(2))
        wait_until(lambda: proxied.spooled() == 0)
    checked = proxied.check(url)
    assert (checked.exit_code, checked.stderr) == (0, "")
    if command != "config":
        assert f"{command.replace('|', ' ').upper()} is refused" in checked.stdout
    assert proxied.stream() == [1, 2]


def test_a_connection_that_is_cut_on_its_name_costs_no_message(proxied: ProxiedQueue) -> None:
    proxied.proxy.deadly = frozenset(("CLIENT",))
    with capture_logs() as logs, proxied.queue() as queue:
        assert queue.put(message(1)) == (False, "redis")
    assert not [line for line in logs if line["event"] in OUTAGE]


def test_fsync_does_without_info(proxied: ProxiedQueue) -> None:
    url = proxied.user("~*", "+@all", "-info")
    with proxied.queue(REDIS_URL=url, QUEUE_DURABILITY="fsync") as queue:
        assert queue.put(message(1)).stored_in == (
            "redis" if inspect(proxied.redis).supports_waitaof else "spool"
        )


def test_a_flood_of_refused_messages_takes_one_connection_and_none_is_lost(
    proxied: ProxiedQueue,
) -> None:
    with proxied.queue() as queue, ThreadPoolExecutor(60) as pool:
        queue.put(message(1))
        before = proxied.proxy.connections
        refused = [
            pool.submit(queue.quarantine, f"{{{n}", reason="not-json", arrived=NOW)
            for n in range(600)
        ]
        for each in refused:
            each.result()
        # The writer's, the drainer's and the trimming's, whoever needs one first.
        assert proxied.proxy.connections - before <= 3
    assert proxied.redis.xlen("{fota:0}:quarantine") == 600


def test_a_refused_body_that_is_too_large_costs_the_others_nothing(proxied: ProxiedQueue) -> None:
    limit_requests(proxied)
    with proxied.queue() as queue, ThreadPoolExecutor(20) as pool:
        sent = ["{" + "x" * 1_500_000, *(f"{{{n}" for n in range(50))]
        jobs = [
            pool.submit(queue.quarantine, data, reason="not-json", arrived=NOW) for data in sent
        ]
        with pytest.raises(QueueUnavailableError, match="max request size"):
            jobs[0].result()
        for job in jobs[1:]:
            job.result()
    assert proxied.redis.xlen("{fota:0}:quarantine") == 50
