"""Retention on a real Redis: what every group has done with goes, and nothing else ever does."""

import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from listener.diagnostics import startup
from listener.messages.message import Message
from listener.queue.queue import DurableQueue
from listener.queue.retention import Retention
from listener.queue.writer import RedisWriter
from listener.settings.settings import Settings
from testbed.polling import wait_until
from testbed.redis_servers import redis_process

pytestmark = pytest.mark.redis_flavour

ROOT = Path(__file__).resolve().parents[3]
STREAM = "{fota:0}:messages"
TWIN = "{fota:0}:twin"
LEADER = "{fota:0}:retention"
HOUR_MS = 3600 * 1000
# Entry ids begin with a time: those of 1970 are old, those of the year 2286 are not.
YOUNG = 9_999_999_999_999


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server without a disk, so that thousands of commands take little; with tiny nodes."""
    options = {"appendonly": "no", "stream-node-max-entries": "3"}
    with (
        tempfile.TemporaryDirectory(prefix="fota-") as folder,
        redis_process.running(Path(folder), options=options) as url,
    ):
        yield url


@pytest.fixture
def client(server: str) -> Iterator[Any]:
    with redis.Redis.from_url(server, decode_responses=True) as opened:
        opened.flushall()
        yield opened


def settings_of(url: str, **environ: str) -> Settings:
    return Settings.from_env({"REDIS_URL": url, "ALLOW_ANY_SENDER": "true", **environ})


@pytest.fixture
def worker(server: str) -> Iterator[Callable[..., Retention]]:
    """Builds workers' retentions; their threads are not started."""
    built: list[Retention] = []

    def build(**environ: str) -> Retention:
        built.append(Retention(settings_of(server, **environ)))
        return built[-1]

    yield build
    for retention in built:
        retention.stop()


@pytest.fixture
def retention(worker: Callable[..., Retention]) -> Retention:
    return worker()


def fill(client: Any, count: int, stream: str = STREAM) -> list[str]:
    """Adds old entries."""
    with client.pipeline(transaction=False) as pipeline:
        for number in range(1, count + 1):
            pipeline.xadd(stream, {"data": "x"}, id=f"{number}-0")
        return [str(entry_id) for entry_id in pipeline.execute()]


def read(client: Any, group: str, count: int | None = None, *, stream: str = STREAM) -> list[str]:
    batches = client.xreadgroup(group, "c", {stream: ">"}, count=count)
    return [entry_id for _, entries in batches for entry_id, _ in entries]


def ids(client: Any, stream: str = STREAM) -> list[str]:
    return [entry_id for entry_id, _ in client.xrange(stream)]


def trims_behind(client: Any) -> bool:
    """Whether the server can trim entries behind one that is not acknowledged."""
    version = client.info("server")["redis_version"]
    return tuple(int(part) for part in version.split(".")[:3]) >= (8, 2, 1)


def turn(retention: Retention) -> list[dict[str, Any]]:
    """The warnings of one turn."""
    with capture_logs() as logs:
        retention.run_once()
    return [dict(line) for line in logs if line["log_level"] == "warning"]


def test_what_every_group_acknowledged_goes_and_what_one_did_not_stays(
    retention: Retention, client: Any
) -> None:
    added = fill(client, 20)
    for group, count in (("fast", 20), ("slow", 8)):
        client.xgroup_create(STREAM, group, "0")
        client.xack(STREAM, group, *read(client, group, count))
    assert turn(retention) == []
    assert ids(client) == added[8:], "the slow one has not read those"
    pending = read(client, "slow")
    client.xack(STREAM, "slow", *[entry for entry in pending if entry != added[11]])
    retention.run_once()
    kept = added[11:12] if trims_behind(client) else added[11:]
    assert ids(client) == kept, "one that was read is not acknowledged"
    client.xack(STREAM, "slow", added[11])
    retention.run_once()
    assert ids(client) == []


def test_what_lies_behind_an_unacknowledged_entry_goes_where_redis_can_tell(
    retention: Retention, client: Any
) -> None:
    added = fill(client, 350)
    client.xadd(STREAM, {"data": "x"}, id=f"{YOUNG}-0")
    client.xgroup_create(STREAM, "fast", "0")
    client.xack(STREAM, "fast", *read(client, "fast"))
    client.xgroup_create(STREAM, "slow", "0")
    # Both in one node and in nodes of their own; the last 10 are not read at all.
    pending = [added[number] for number in (4, 5, 100, 101, 102, 250, 339)]
    client.xack(
        STREAM, "slow", *[entry for entry in read(client, "slow", 340) if entry not in pending]
    )
    retention.run_once()
    kept = [*pending, *added[340:]] if trims_behind(client) else added[4:]
    assert ids(client) == [*kept, f"{YOUNG}-0"]
    # What is left can be saved and loaded, and be trimmed later.
    client.restore(TWIN, 0, client.dump(STREAM))
    assert ids(client, TWIN) == ids(client)
    client.xack(STREAM, "slow", *pending[1:], *read(client, "slow"))
    retention.run_once()
    assert ids(client) == [*([added[4]] if trims_behind(client) else added[4:]), f"{YOUNG}-0"]
    client.xack(STREAM, "slow", added[4])
    retention.run_once()
    assert ids(client) == [f"{YOUNG}-0"]


def test_looking_behind_an_unacknowledged_entry_is_bounded_too(
    retention: Retention, client: Any
) -> None:
    added = fill(client, 950)
    client.xgroup_create(STREAM, "g", "0")
    # Nearly nothing can go, so that all are looked at.
    client.xack(STREAM, "g", *read(client, "g")[900:])
    client.config_resetstat()
    retention.run_once()
    calls = client.info("commandstats")
    if trims_behind(client):
        assert calls["cmdstat_xdelex"]["calls"] == calls["cmdstat_evalsha"]["calls"] == 10
        assert ids(client) == added[:900]
    else:
        assert calls["cmdstat_evalsha"]["calls"] == 1
        assert ids(client) == added


@pytest.mark.parametrize(("age_ms", "stays"), [(HOUR_MS + 60_000, False), (HOUR_MS - 60_000, True)])
def test_what_is_younger_than_the_retention_stays(
    worker: Callable[..., Retention], client: Any, age_ms: int, stays: bool
) -> None:
    client.xadd(STREAM, {"data": "x"}, id=f"{int(time.time() * 1000) - age_ms}-7")
    client.xgroup_create(STREAM, "g", "$")
    worker(RETENTION_HOURS="1").run_once()
    assert len(ids(client)) == stays


def test_redis_is_not_asked_for_what_is_before_the_first_entry(
    retention: Retention, client: Any
) -> None:
    # Redis would walk through the whole stream for it, from its end, and serve nobody meanwhile.
    client.xadd(STREAM, {"data": "x"})
    client.xgroup_create(STREAM, "g", "$")
    client.config_resetstat()
    retention.run_once()
    assert len(ids(client)) == 1
    # Of the newest entry.
    assert client.info("commandstats")["cmdstat_xrevrange"]["calls"] == 1


def test_without_a_group_nothing_goes_and_that_is_told_once(
    worker: Callable[..., Retention], client: Any
) -> None:
    retention = worker(QUEUE_PARTITIONS="2")
    assert turn(retention) == [], "there is nothing that anybody could miss"
    added = fill(client, 10)
    [warning] = turn(retention)
    assert (warning["event"], warning["partitions"]) == (
        "no consumer group reads the queue; nothing is trimmed",
        [0],
    )
    assert turn(retention) == []
    assert ids(client) == added
    client.xgroup_create(STREAM, "g", "$")
    assert turn(retention) == []
    fill(client, 1, STREAM.replace("0", "1"))
    [warning] = turn(retention)
    assert warning["partitions"] == [1], "another partition is news"


def test_much_is_trimmed_in_steps(retention: Retention, client: Any) -> None:
    # Nodes have three entries, so that a call of Redis takes 300 and that what is left is cut.
    fill(client, 1000)
    client.xgroup_create(STREAM, "g", "999-0")
    calls = client.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0)
    retention.run_once()
    assert ids(client) == ["1000-0"]
    assert client.info("commandstats")["cmdstat_evalsha"]["calls"] - calls >= 4


def test_only_the_messages_are_trimmed(retention: Retention, client: Any) -> None:
    others = ["{fota:0}:quarantine", "{fota:0}:dead:g", "{other:0}:messages"]
    for stream in (STREAM, *others):
        fill(client, 20, stream)
        client.xgroup_create(stream, "g", "$")
    retention.run_once()
    assert ids(client) == []
    assert [len(ids(client, stream)) for stream in others] == [20, 20, 20]


def test_one_process_looks_after_a_partition_until_it_no_longer_comes(
    worker: Callable[..., Retention], client: Any
) -> None:
    leader, other = worker(), worker()
    leader.run_once()
    fill(client, 5)
    assert turn(other) == [], "that there is no group is the leader's to tell"
    client.xgroup_create(STREAM, "g", "$")
    other.run_once()
    assert len(ids(client)) == 5
    assert 120_000 < client.pttl(LEADER) <= 180_000
    client.delete(LEADER)
    other.run_once()
    assert ids(client) == []


def test_a_redis_out_of_memory_is_trimmed_all_the_same(retention: Retention, client: Any) -> None:
    fill(client, 20)
    client.xgroup_create(STREAM, "g", "$")
    client.config_set("maxmemory", "1")
    try:
        turn(retention)
        assert ids(client) == []
    finally:
        client.config_set("maxmemory", "0")


def test_memory_filling_up_is_told_once(worker: Callable[..., Retention], client: Any) -> None:
    retention = worker(QUEUE_PARTITIONS="2")
    assert turn(retention) == []
    # Not before: the script and the connection need some themselves.
    used = client.info("memory")["used_memory"]
    try:
        client.config_set("maxmemory", int(used / 0.9))
        [warning] = turn(retention)
        assert (warning["event"], warning["partitions"]) == (
            "the memory of redis is filling up",
            [0, 1],
        )
        assert 85 <= warning["percent"] <= 105
        assert turn(retention) == []
    finally:
        client.config_set("maxmemory", "0")


def test_what_cannot_be_trimmed_is_told_once_and_holds_up_nothing_else(
    worker: Callable[..., Retention], client: Any
) -> None:
    client.set(STREAM, "somebody else's")
    second = STREAM.replace("0", "1")
    fill(client, 5, second)
    client.xgroup_create(second, "g", "$")
    retention = worker(QUEUE_PARTITIONS="2")
    [warning] = turn(retention)
    assert (warning["event"], warning["partitions"]) == ("messages cannot be trimmed", [0])
    assert "WRONGTYPE" in warning["detail"]
    assert turn(retention) == []
    assert ids(client, second) == []


def test_the_rights_that_the_contract_names_are_enough(server: str, client: Any) -> None:
    contract = (ROOT / "docs" / "queue.md").read_text()
    (rights,) = re.findall(r"^    (~\{fota:\* -@all .*)$", contract, re.MULTILINE)
    fill(client, 20)
    client.xgroup_create(STREAM, "g", "0")
    client.xack(STREAM, "g", *read(client, "g")[1:])
    client.script_flush()
    client.execute_command("ACL", "SETUSER", "fota", "on", ">pw", *rights.split())
    try:
        retention = Retention(settings_of(server.replace("unix://", "unix://fota:pw@")))
        assert turn(retention) == []
        client.xack(STREAM, "g", "1-0")
        assert turn(retention) == []
        retention.stop()
        assert ids(client) == []
    finally:
        client.execute_command("ACL", "DELUSER", "fota")


def test_who_may_not_ask_for_the_memory_trims_all_the_same(server: str, client: Any) -> None:
    fill(client, 5)
    client.xgroup_create(STREAM, "g", "$")
    client.execute_command("ACL", "SETUSER", "fota", "on", ">pw", "~*", "+@all", "-info")
    try:
        retention = Retention(settings_of(server.replace("unix://", "unix://fota:pw@")))
        retention.run_once()
        retention.stop()
        assert ids(client) == []
    finally:
        client.execute_command("ACL", "DELUSER", "fota")


def test_the_thread_trims_again_and_again_until_it_is_stopped(server: str, client: Any) -> None:
    retention = Retention(settings_of(server), every_s=0.01)
    retention.start()
    try:
        for _ in range(2):
            client.delete(STREAM)
            fill(client, 5)
            client.xgroup_create(STREAM, "g", "$")
            wait_until(lambda: ids(client) == [])
    finally:
        retention.stop()
    assert not retention._thread.is_alive()


def test_the_keeper_starts_the_thread_and_ends_it(server: str, client: Any, tmp_path: Path) -> None:
    for folder in ("", str(tmp_path)):
        keeper = DurableQueue(settings_of(server, SPOOL_DIR=folder))
        keeper.start()
        assert keeper._retention._thread.is_alive()
        keeper.close()
        assert not keeper._retention._thread.is_alive()


def test_a_greatest_length_drops_the_oldest_read_or_not(server: str, client: Any) -> None:
    now = datetime(2026, 11, 23, tzinfo=UTC)
    group = [
        Message.from_payload({"type": "new", "n": number}, arrived=now, request_id="r")
        for number in range(200)
    ]
    client.xgroup_create(STREAM, "g", "0", mkstream=True)
    for environ, least, most in (({"QUEUE_MAX_LENGTH": "50"}, 50, 55), ({}, 200, 200)):
        writer = RedisWriter(settings_of(server, **environ))
        client.xtrim(STREAM, maxlen=0, approximate=False)
        client.delete(*client.keys("*seen*"), "none")
        writer.put_all(0, group)
        writer.close()
        assert least <= len(ids(client)) <= most
        assert '"n":199' in client.xrevrange(STREAM, count=1)[0][1]["data"]


def test_a_greatest_length_is_called_lossy_at_start(server: str) -> None:
    def warnings(**environ: str) -> list[str]:
        with capture_logs() as logs:
            startup.check(settings_of(server, **environ))
        return [line["event"] for line in logs if "QUEUE_MAX_LENGTH" in line["event"]]

    assert warnings() == []
    assert warnings(QUEUE_MAX_LENGTH="50") == [
        "QUEUE_MAX_LENGTH is lossy: the oldest messages go, read or not"
    ]


def test_a_group_that_begins_while_messages_are_trimmed_misses_none_after_its_first(
    retention: Retention, client: Any
) -> None:
    added = fill(client, 3000)
    client.xgroup_create(STREAM, "reader", "0")
    turns: list[str] = []

    def trim_while_reading(reading: Any) -> None:
        while not reading.done():
            retention.run_once()
            turns.append("done")

    def read_all() -> None:
        while batch := read(client, "reader", 50):
            client.xack(STREAM, "reader", *batch)

    with ThreadPoolExecutor(2) as pool:
        reading = pool.submit(read_all)
        trimming = pool.submit(trim_while_reading, reading)
        found: list[list[str]] = []
        while not reading.done():
            group = f"late-{len(found)}"
            client.xgroup_create(STREAM, group, "0")
            # Until it reads, nothing but the group itself holds its messages.
            found.append(read(client, group))
            client.xgroup_destroy(STREAM, group)
            # Two, because the first may have looked at the groups before.
            before = len(turns)
            while len(turns) < before + 2 and not reading.done():
                time.sleep(0)
        trimming.result()
        reading.result()
    assert any(len(seen) not in {0, 3000} for seen in found), "nothing was trimmed meanwhile"
    # Where entries go one by one, those that are left of the first node may have gaps.
    node = 3 if trims_behind(client) else 0
    wholes = [seen[node:] for seen in found]
    assert all(seen == added[len(added) - len(seen) :] for seen in wholes)


class Queue:
    """A stream and its twin, which is never trimmed; every step is done to both.

    Of the twin goes only what is gone of the stream behind the place where a group begins: nobody
    needs it any more, and who begins gets what is there.
    """

    def __init__(self, client: Any, retention: Retention) -> None:
        self.client = client
        self.retention = retention
        self.groups: set[str] = set()
        self.last = 0
        client.delete(STREAM, TWIN)

    def add(self, count: int, young: bool) -> None:
        number = max(self.last, YOUNG if young else 0)
        for offset in range(1, count + 1):
            for stream in (STREAM, TWIN):
                self.client.xadd(stream, {"n": str(offset)}, id=f"{number + offset}-0")
        self.last = number + count

    def begin(self, group: str, position: int) -> None:
        """A new group, or one that is set to another place, at an entry that is still there."""
        present, every = ids(self.client), ["0", *ids(self.client, TWIN)]
        first = present[position % len(present)] if present else None
        at = every.index(first) if first else len(every)
        before = every[at - 1]
        if gone := set(every[at:]) - set(present):
            assert not any(gone & self.needed(other) for other in self.groups)
            self.client.xdel(TWIN, *gone)
        for stream in (STREAM, TWIN):
            if group in self.groups:
                self.client.xgroup_setid(stream, group, before)
            else:
                self.client.xgroup_create(stream, group, before, mkstream=True)
        self.groups.add(group)

    def end(self, group: str) -> None:
        self.groups.discard(group)
        for stream in (STREAM, TWIN):
            if self.client.exists(stream):
                self.client.xgroup_destroy(stream, group)

    def read(self, group: str, count: int) -> None:
        if group in self.groups:
            here = read(self.client, group, count)
            assert here == read(self.client, group, count, stream=TWIN)

    def acknowledge(self, group: str, chosen: list[int]) -> None:
        if group in self.groups:
            pending = self.client.xpending_range(TWIN, group, "-", "+", 1000)
            for number in chosen:
                if number < len(pending):
                    for stream in (STREAM, TWIN):
                        self.client.xack(stream, group, pending[number]["message_id"])

    def trim(self) -> None:
        self.retention.run_once()

    def needed(self, group: str) -> set[str]:
        """What a group has not acknowledged, by the twin."""
        pending = self.client.xpending_range(TWIN, group, "-", "+", 1000)
        [read_to] = [
            found["last-delivered-id"]
            for found in self.client.xinfo_groups(TWIN)
            if found["name"] == group
        ]
        unread = self.client.xrange(TWIN, min=f"({read_to}")
        return {entry["message_id"] for entry in pending} | {entry_id for entry_id, _ in unread}

    def everything_for(self, group: str, stream: str) -> list[Any]:
        """What a group can still get: the unacknowledged once more, and the unread."""
        parts = [self.client.xreadgroup(group, "c", {stream: start}) for start in ("0", ">")]
        return sorted(tuple(entry) for batches in parts for _, part in batches for entry in part)


GROUPS = st.sampled_from("abc")
STEPS = st.one_of(
    st.tuples(st.just("add"), st.integers(1, 9), st.booleans()),
    st.tuples(st.just("begin"), GROUPS, st.integers(0, 40)),
    st.tuples(st.just("end"), GROUPS),
    st.tuples(st.just("read"), GROUPS, st.integers(1, 12)),
    st.tuples(st.just("read"), GROUPS, st.integers(1, 12)),
    st.tuples(st.just("acknowledge"), GROUPS, st.lists(st.integers(0, 9), unique=True)),
    st.tuples(st.just("acknowledge"), GROUPS, st.just(list(range(40)))),
    st.tuples(st.just("trim")),
)


@settings(
    deadline=None,
    max_examples=250 if os.environ.get("CI") else 60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(STEPS, max_size=25))
# A group that was set back has unread entries before its unacknowledged ones.
@example(
    steps=[
        ("begin", "a", 0),
        ("read", "a", 5),
        ("acknowledge", "a", [0, 1, 2]),
        ("begin", "a", 1),
    ]
)
def test_however_much_is_trimmed_every_group_gets_what_it_has_not_acknowledged(
    retention: Retention, client: Any, steps: list[tuple[Any, ...]]
) -> None:
    queue = Queue(client, retention)
    queue.add(5, young=False)
    for name, *arguments in steps:
        getattr(queue, name)(*arguments)
    before = ids(client)
    queue.trim()
    after = ids(client)
    needed: set[str] = set()
    for group in queue.groups:
        entries = queue.everything_for(group, STREAM)
        assert entries == queue.everything_for(group, TWIN)
        needed.update(entry_id for entry_id, _ in entries)
    assert [young for young in ids(client, TWIN) if is_young(young)] == list(
        filter(is_young, after)
    )
    if not queue.groups:
        assert after == before
    elif after:
        looked_at = after if trims_behind(client) else after[:1]
        assert all(entry_id in needed or is_young(entry_id) for entry_id in looked_at)
    if after:
        # Neither does Redis refuse to load what is left.
        client.restore("copy", 0, client.dump(STREAM), replace=True)


def is_young(entry_id: str) -> bool:
    return int(entry_id.partition("-")[0]) >= YOUNG
