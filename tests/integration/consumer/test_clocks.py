"""Streams whose ids were made by a wrong clock: ahead of it, of 1970, up to the greatest there is."""

import json
import shlex
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from structlog.testing import capture_logs

from listener import entry_ids
from listener.cli.tail import _entries, _Read
from listener.inspection.entry_filter import EntryFilter
from listener.inspection.queue_view import QueueView, decoding_client
from listener.ops.app import create_ops_app
from listener.queue.retention import Retention
from listener.times import timestamp
from testbed.polling import wait_until
from testbed.proxies.shard_proxy import ShardProxy
from testbed.redis_servers.redis_nodes import Node, started
from tests.support.cli import ACCOUNT, QUARANTINE, STREAM, add, bury, listed, read, run
from tests.support.consumer_feed import feed
from tests.support.consumer_runs import GROUP, consumer, number_of, running
from tests.support.queue_load import keeping, message, settings

pytestmark = pytest.mark.redis_flavour

HOUR_MS = 3600 * 1000
DAY_MS = 24 * HOUR_MS
LEADER = "{fota:0}:retention"


def now_ms() -> int:
    return int(time.time() * 1000)


def arrived(days_ago: float) -> str:
    return timestamp(datetime.now(UTC) - timedelta(days=days_ago))


@pytest.fixture
def ahead(redis_client: Any) -> list[str]:
    """One message, and 51 after the server's clock had jumped a day ahead, of now; their ids."""
    first = add(redis_client, 0)
    day = now_ms() + DAY_MS
    redis_client.xgroup_create(STREAM, "billing", "0")
    return [first, *(add(redis_client, n, at=f"{day}-{n}") for n in range(1, 52))]


@pytest.mark.parametrize("words", [(), ("--to", "now"), ("--from", "2h"), ("--from", "start")])
def test_export_writes_also_what_lies_ahead_of_the_clock(
    redis_url: str, ahead: list[str], words: tuple[str, ...]
) -> None:
    found = listed(run(redis_url, "export", *words))
    assert len(found) == len(ahead)


def test_a_time_that_the_operator_gave_is_a_bound(redis_url: str, ahead: list[str]) -> None:
    end = datetime.now(UTC).isoformat()
    assert len(listed(run(redis_url, "export", "--to", end))) == 1
    assert not run(redis_url, "export", "--from", "now").stdout


def test_tail_follows_behind_the_end_of_the_stream_and_not_behind_the_clock(
    redis_url: str, redis_client: Any, ahead: list[str]
) -> None:
    assert len(listed(run(redis_url, "tail", "--from", "start", "--no-follow", "--json"))) == 52
    assert not run(redis_url, "tail", "--no-follow").stdout
    chosen = settings(redis_url).queue
    with decoding_client(chosen, timeout_s=5, name="tests") as client:
        queue = QueueView(chosen, client)
        found = _entries(queue, entry_ids.LAST, None, EntryFilter(), _Read(), follow=True)
        with ThreadPoolExecutor(1) as pool:
            arriving = pool.submit(next, found)
            added: list[str] = []
            while not arriving.done():
                # The first ones may come before tail has looked where the end is.
                added.append(add(redis_client, len(added)))
                wait([arriving], timeout=0.05)
    assert arriving.result().entry_id in added


def test_replay_from_now_goes_behind_what_lies_ahead(
    redis_url: str, redis_client: Any, ahead: list[str]
) -> None:
    result = run(redis_url, "replay", "--group", "billing", "--from", "now", "--yes")
    assert "LOSSY: 52 messages" in result.output
    assert redis_client.xinfo_groups(STREAM)[0]["last-delivered-id"] == ahead[-1]
    run(redis_url, "replay", "--group", "billing", "--from", "start", "--yes")
    assert len(read(redis_client, "billing")) == 52


def test_no_age_is_negative_and_rates_go_by_arrival(
    redis_url: str, redis_client: Any, ahead: list[str]
) -> None:
    read(redis_client, "billing")
    for number in range(3):
        content = {"time": arrived(0), "kind": "unknown", "data": "{}"}
        redis_client.xadd(STREAM, content, id=f"{now_ms() + 2 * DAY_MS}-{number + 1}")
    stream, group = listed(run(redis_url, "stats", "--json"))
    ages = [one for one in (*stream.values(), *group.values()) if isinstance(one, int | float)]
    assert min(ages) >= 0
    # The 51 have a `time` of long ago; the one whose id is right and the three are of now.
    assert [rate["entries"] for rate in stream["rates"]] == [4, 4]
    assert run(redis_url, "stats").exit_code == 0
    assert len(listed(run(redis_url, "pending", "--json", "--limit", "99"))) == 52


def test_check_warns_of_ids_ahead_of_the_clock(redis_url: str, ahead: list[str]) -> None:
    [found] = [one for one in checked(redis_url) if "ahead of Redis's clock" in one["text"]]
    assert (found["topic"], found["level"]) == ("partition 0", "warning")


@pytest.mark.parametrize(
    ("hours", "says"),
    [(1, "1 h ahead of this host's"), (-24 * 365 - 1, "365 d behind this host's")],
)
def test_check_warns_where_the_clocks_differ(tmp_path: Path, hours: int, says: str) -> None:
    def answers(words: Any) -> bytes | None:
        if words[0] != b"TIME":
            return None
        seconds = b"%d" % (time.time() + hours * 3600 + 1)
        return b"*2\r\n$%d\r\n%s\r\n$1\r\n0\r\n" % (len(seconds), seconds)

    node = Node(tmp_path / "node", {})
    with started([node]), ShardProxy([node.port]).running() as proxy:
        proxy.answers = answers
        found = [one for one in checked(proxy.url) if one["topic"] == "clock"]
    assert [one["level"] for one in found] == ["warning"]
    assert says in found[0]["text"]


def test_check_is_content_where_they_agree(redis_url: str, redis_client: Any) -> None:
    add(redis_client, 0)
    assert [one["level"] for one in checked(redis_url) if one["topic"] == "clock"] == ["ok"]


def test_check_does_not_believe_an_observation_of_the_future(
    redis_url: str, redis_client: Any
) -> None:
    observed = {"tick": arrived(-2), "ours": True, "registered_url": "https://a.example/cb"}
    told = {**observed, "result": "kept", "reason": "same"}
    redis_client.hset("{fota:registrar}:observations", f"{ACCOUNT}/v1", json.dumps(told))
    [found] = [one for one in checked(redis_url) if one["topic"] == "registration"]
    assert found["level"] == "warning"
    assert "yet to come" in found["text"]


@pytest.fixture
def used_up(redis_client: Any) -> str:
    """A stream that has the greatest id; a group has read it all."""
    if not redis_client.exists(STREAM):
        redis_client.xgroup_create(STREAM, "billing", "0", mkstream=True)
        add(redis_client, 0, at="1-1")
        add(redis_client, 1)
    last = add(redis_client, 2, at=entry_ids.LAST)
    read(redis_client, "billing")
    return last


def test_every_command_bears_the_greatest_id(
    redis_url: str, redis_client: Any, used_up: str
) -> None:
    bury(redis_client, used_up)
    redis_client.xadd(
        QUARANTINE, {"reason": "account", "data": "{}", "time": "?"}, id=entry_ids.LAST
    )
    for words, count in (
        (("export",), 3),
        (("tail", "--from", "start", "--no-follow", "--json"), 3),
        (("pending", "--json"), 2),
        (("stats", "--json"), 2),
        (("quarantine", "list", "--json"), 1),
        (("dead", "list", "--json"), 1),
    ):
        assert len(listed(run(redis_url, *words))) == count, words
    for line in (
        "stats",
        "pending",
        "dead list",
        "quarantine list",
        "quarantine replay --all --yes",
    ):
        # A failure that is not said in a sentence is an exception of another kind.
        assert isinstance(run(redis_url, *line.split()).exception, SystemExit | None), line


def test_check_fails_where_the_ids_are_used_up(
    redis_url: str, redis_client: Any, used_up: str, tmp_path: Path
) -> None:
    with keeping(redis_url, SPOOL_DIR=str(tmp_path)) as keeper:
        # Redis refuses it, so it is kept on this host's disk.
        keeper.put(message(7))
    result = run(redis_url, "check", "--json")
    assert result.exit_code == 1
    errors = [json.loads(line) for line in result.stdout.splitlines()]
    [found] = [one for one in errors if one["level"] == "error"]
    assert "its ids are used up" in found["text"]


def test_a_stream_whose_ids_are_used_up_is_begun_anew_as_the_documents_say(
    redis_url: str, redis_client: Any, used_up: str
) -> None:
    document = (Path(__file__).parents[3] / "docs/operations.md").read_text()
    for line in document.splitlines():
        if line.startswith("    redis-cli ") and "messages-used-up" in line:
            words = shlex.split(line)[1:]
            redis_client.execute_command(*[word.replace("FIRST_ID", "1-1") for word in words])
    assert redis_client.xlen(STREAM) == 3
    assert not [one for one in checked(redis_url) if one["level"] == "error"]


def test_the_operating_port_bears_every_id(redis_url: str, ahead: list[str], used_up: str) -> None:
    with keeping(redis_url) as keeper:
        port = create_ops_app(settings(redis_url), queue=keeper).test_client()
        assert port.get("/").status_code == 200
        assert port.get(f"/messages/0/{used_up}").status_code == 200
        measured = port.get("/metrics").text
    values = [line.split() for line in measured.splitlines() if line.startswith("fota_queue")]
    assert all(float(value) >= 0 for _, value in values)


@pytest.fixture
def retention(redis_url: str) -> Iterator[Retention]:
    made = Retention(settings(redis_url, RETENTION_HOURS="24"))
    yield made
    made.stop()


def entries(client: Any, times: list[str], ids: list[str]) -> None:
    """Entries with these fields `time` and ids, all read and acknowledged by the only group."""
    client.xgroup_create(STREAM, "billing", "0", mkstream=True)
    with client.pipeline(transaction=False) as pipeline:
        for moment, entry_id in zip(times, ids, strict=True):
            pipeline.xadd(
                STREAM, {"time": moment, "data": "{}"} if moment else {"a": "b"}, entry_id
            )
        pipeline.execute()
    for entry_id in read(client, "billing", count=10_000):
        client.xack(STREAM, "billing", entry_id)


@pytest.mark.parametrize(
    ("times", "at_ms", "left"),
    [
        ([3, 2, 0.1, 0], 30 * DAY_MS, 2),
        ([0.1, 0], 30 * DAY_MS, 2),
        ([3, 2], 30 * DAY_MS, 0),
        # The hosts' clock was wrong as well: such an entry goes with what comes behind it.
        ([-9, 3, -9, 0.1], 30 * DAY_MS, 2),
        ([-9, -9], 30 * DAY_MS, 2),
        # The server's clock stood at 1970: what has just arrived is not old.
        ([3, 2, 0.1, 0], None, 2),
        ([0.1, 0], None, 2),
    ],
)
def test_retention_goes_by_arrival_where_ids_are_wrong(
    redis_client: Any, retention: Retention, times: list[float], at_ms: int | None, left: int
) -> None:
    base = 60_000 if at_ms is None else now_ms() + at_ms
    ids = [f"{base}-{number + 1}" for number in range(len(times))]
    entries(redis_client, [arrived(days) for days in times], ids)
    with capture_logs() as logs:
        retention.run_once()
    assert not [line for line in logs if "cannot" in line["event"]]
    assert redis_client.xlen(STREAM) == left


def test_retention_trims_all_that_is_old_ahead_of_the_clock_in_one_turn(
    redis_client: Any, retention: Retention
) -> None:
    ahead = now_ms() + 10 * DAY_MS
    ids = [f"{ahead}-{number + 1}" for number in range(1000)]
    entries(redis_client, [*[arrived(3)] * 950, *[arrived(0.5)] * 50], ids)
    retention.run_once()
    assert redis_client.xlen(STREAM) == 50


def test_retention_trims_nothing_unread_ahead_of_the_clock(
    redis_client: Any, retention: Retention
) -> None:
    ahead = now_ms() + 10 * DAY_MS
    entries(redis_client, [arrived(3)] * 4, [f"{ahead}-{number + 1}" for number in range(4)])
    redis_client.xgroup_create(STREAM, "late", f"{ahead}-2")
    retention.run_once()
    assert redis_client.xlen(STREAM) == 2


@pytest.mark.parametrize("unknown", ["", "yesterday", "2026-13-99T99:99:99Z"])
def test_retention_bears_entries_that_say_no_time(
    redis_client: Any, retention: Retention, unknown: str
) -> None:
    ids = ["1-1", f"{now_ms() - 3 * DAY_MS}-1", f"{now_ms() - 60_000}-1", f"{now_ms() + DAY_MS}-1"]
    entries(redis_client, [unknown] * 4, ids)
    with capture_logs() as logs:
        retention.run_once()
    assert not [line for line in logs if "cannot" in line["event"]]
    assert redis_client.xlen(STREAM) == 2


def test_retention_bears_a_group_at_the_greatest_id(
    redis_client: Any, retention: Retention, used_up: str
) -> None:
    with capture_logs() as logs:
        retention.run_once()
    assert not [line for line in logs if "cannot" in line["event"]]


def test_retention_does_not_wait_for_a_clock_that_was_ahead(
    redis_client: Any, retention: Retention
) -> None:
    """Who looks after a partition is noted with a time limit, and that came to lie far ahead."""
    redis_client.set(LEADER, "somebody who is gone", px=DAY_MS)
    entries(redis_client, [""] * 2, ["1-1", "1-2"])
    retention.run_once()
    assert redis_client.xlen(STREAM) == 0


def test_a_consumer_takes_over_what_was_delivered_by_a_clock_ahead(
    redis_url: str, redis_client: Any
) -> None:
    feed(redis_client, range(3))
    redis_client.xgroup_create(STREAM, GROUP, "0")
    redis_client.xreadgroup(GROUP, "gone", {STREAM: ">"})
    put_ahead(redis_url, DAY_MS)
    assert {row["time_since_delivered"] for row in pending(redis_client)} == {0}
    seen: list[int] = []
    with running(consumer(redis_url, lambda m: seen.append(number_of(m)))):
        wait_until(lambda: sorted(seen) == [0, 1, 2], lambda: str(seen))


def test_what_a_living_consumer_holds_is_left_to_it(redis_url: str, redis_client: Any) -> None:
    """Its own signs of life put the time right before anybody may take it over."""
    feed(redis_client, range(1))
    begun: list[int] = []
    done: list[int] = []

    def handle(each: Any) -> None:
        begun.append(number_of(each))
        wait_until(lambda: len(other) == 3)
        done.append(number_of(each))

    other: list[int] = []
    first = consumer(redis_url, handle, takeover_idle_s=2.0, batch=1)
    second = consumer(redis_url, lambda m: other.append(number_of(m)), takeover_idle_s=2.0)
    with running(first):
        wait_until(lambda: begun)
        put_ahead(redis_url, DAY_MS)
        with running(second):
            wait_until(lambda: all(row["time_since_delivered"] for row in pending(redis_client)))
            for number in (1, 2, 3):
                feed(redis_client, [number])
            wait_until(lambda: len(other) == 3)
        wait_until(lambda: done)
    assert 0 not in other


def pending(client: Any) -> Any:
    return client.xpending_range(STREAM, GROUP, "-", "+", 10)


def put_ahead(url: str, by_ms: int) -> None:
    """Moves the times of deliveries into the future, as they are after the server's clock was set back."""
    with redis.Redis.from_url(url, protocol=2) as client:
        dump: Any = client.dump(STREAM)
        full: Any = client.execute_command("XINFO", "STREAM", STREAM, "FULL")
        groups = dict(zip(full[::2], full[1::2], strict=True))[b"groups"]
        body = dump[:-8]
        held = [
            row
            for group in groups
            for row in dict(zip(group[::2], group[1::2], strict=True))[b"pending"]
        ]
        for moment in {row[2] for row in held}:
            at = moment.to_bytes(8, "little")
            assert at in body
            body = body.replace(at, (moment + by_ms).to_bytes(8, "little"))
        client.restore(STREAM, 0, body + crc64(body).to_bytes(8, "little"), replace=True)


def crc64(data: bytes) -> int:
    """As Redis has it: the polynomial of Jones, reflected."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x95AC9329AC4BC9B5 if crc & 1 else 0)
    return crc


def checked(url: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run(url, "check", "--json").stdout.splitlines()]
