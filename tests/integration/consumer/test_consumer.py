"""The consumer library on a real Redis: handling, retries, dead letters, takeovers, stopping."""

import re
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from listener.consumer import Backoff, Observer, Reject, Retry
from testbed.polling import DEADLINE_S, wait_until
from tests.support.consumer_feed import STREAM, feed, fields
from tests.support.consumer_runs import GROUP, consumer, is_done, number_of, pending, running

pytestmark = pytest.mark.redis_flavour

ROOT = Path(__file__).parents[3]
DEAD = f"{{fota:0}}:dead:{GROUP}"
DAY_MS = 24 * 3600 * 1000


class FailsError(Exception):
    """What a handler raises."""


def test_what_was_queued_before_and_what_comes_is_handled_once_in_order_and_acknowledged(
    redis_url: str, redis_client: Any
) -> None:
    got: list[Any] = []
    first = feed(redis_client, range(250))
    with running(consumer(redis_url, got.append)):
        wait_until(lambda: len(got) == 250)
        feed(redis_client, range(250, 260))
        wait_until(lambda: is_done(redis_client))
    assert [number_of(message) for message in got] == list(range(260))
    assert [message.entry_id for message in got[:250]] == first
    assert {message.deliveries for message in got} == {1}
    assert redis_client.xinfo_consumers(STREAM, GROUP) == [], "its name is gone with it"


def test_consumers_of_a_group_share_and_groups_do_not(redis_url: str, redis_client: Any) -> None:
    shares: list[list[int]] = [[], []]
    # Neither goes on before the other has got something: on a busy machine one could be done with all.
    both = threading.Barrier(2)

    def into(share: list[int]) -> Any:
        first = iter([True])

        def handle(message: Any) -> None:
            share.append(number_of(message))
            if next(first, False):
                both.wait(DEADLINE_S)

        return handle

    with running(*(consumer(redis_url, into(share), batch=5) for share in shares)):
        feed(redis_client, range(300))
        wait_until(lambda: is_done(redis_client))
    assert sorted(shares[0] + shares[1]) == list(range(300))


def test_a_kind_without_a_handler_is_acknowledged_and_logged_once(
    redis_url: str, redis_client: Any
) -> None:
    feed(redis_client, range(5))
    reader = consumer(redis_url)
    reader.on("upgrade-started")(print)
    with capture_logs() as logs, running(reader):
        wait_until(lambda: pending(redis_client) == 0 and is_done(redis_client))
    assert [line["kind"] for line in logs if "no handler" in line["event"]] == ["upgrade-finished"]


def test_a_failing_message_is_retried_and_holds_up_no_other(
    redis_url: str, redis_client: Any
) -> None:
    got: list[tuple[int, int]] = []

    def handler(message: Any) -> None:
        got.append((number_of(message), message.deliveries))
        if number_of(message) == 1 and message.deliveries < 3:
            raise FailsError

    feed(redis_client, range(4))
    with running(consumer(redis_url, handler)):
        wait_until(lambda: is_done(redis_client))
    assert got[:4] == [(0, 1), (1, 1), (2, 1), (3, 1)]
    assert got[4:] == [(1, 2), (1, 3)]


def test_a_handler_that_always_fails_makes_its_message_dead_and_the_others_flow(
    redis_url: str, redis_client: Any
) -> None:
    got: Counter[int] = Counter()

    def handler(message: Any) -> None:
        got[number_of(message)] += 1
        if number_of(message) == 3:
            raise FailsError("x" * 3000)

    (entry_id,) = [feed(redis_client, range(10))[3]]
    with running(consumer(redis_url, handler, max_deliveries=4, name="me")):
        wait_until(lambda: redis_client.xlen(DEAD) == 1)
        assert is_done(redis_client)
    assert got == {number: 4 if number == 3 else 1 for number in range(10)}
    ((_, dead),) = redis_client.xrange(DEAD)
    assert list(dead)[:11] == list(fields(3))
    assert {name: dead[name] for name in fields(3)} == fields(3)
    assert (dead["reason"], dead["deliveries"], dead["entry"]) == ("handler-failed", "4", entry_id)
    assert dead["consumer"] == "me"
    assert dead["error"].startswith(
        "tests.integration.consumer.test_consumer.FailsError: xxx"
    ) or dead["error"].startswith("test_consumer.FailsError: xxx")
    assert len(dead["error"]) == 1024
    assert dead["traceback"].endswith("x\n")
    assert dead["failed"].endswith("Z")


def test_even_an_exit_in_a_handler_is_only_a_failure(redis_url: str, redis_client: Any) -> None:
    def handler(_: Any) -> None:
        raise SystemExit(3)

    feed(redis_client, [1])
    with running(consumer(redis_url, handler, max_deliveries=2)):
        wait_until(lambda: redis_client.xlen(DEAD) == 1)
    assert redis_client.xrange(DEAD)[0][1]["error"] == "SystemExit: 3"


def test_an_entry_that_is_no_message_is_dead_at_once(redis_url: str, redis_client: Any) -> None:
    redis_client.xadd(STREAM, {"by": "somebody else"})
    got: list[int] = []
    feed(redis_client, [1])
    with running(consumer(redis_url, lambda it: got.append(number_of(it)))):
        wait_until(lambda: is_done(redis_client) and got == [1])
    ((_, dead),) = redis_client.xrange(DEAD)
    assert (dead["by"], dead["reason"], dead["deliveries"]) == ("somebody else", "malformed", "1")


def test_what_a_dead_consumer_held_is_taken_over_after_its_idle_time(
    redis_url: str, redis_client: Any
) -> None:
    feed(redis_client, range(10))
    redis_client.xgroup_create(STREAM, GROUP, "0")
    redis_client.xreadgroup(GROUP, "gone", {STREAM: ">"}, count=7)
    began = time.monotonic()
    got: list[tuple[int, int]] = []
    times: list[float] = []

    def handler(message: Any) -> None:
        got.append((number_of(message), message.deliveries))
        times.append(time.monotonic() - began)

    with running(consumer(redis_url, handler)):
        wait_until(lambda: is_done(redis_client))
    assert got[:3] == [(7, 1), (8, 1), (9, 1)]
    assert got[3:] == [(number, 2) for number in range(7)]
    assert times[3] > 0.25


def test_what_is_pending_but_deleted_is_acknowledged_and_logged(
    redis_url: str, redis_client: Any
) -> None:
    entries = feed(redis_client, range(3))
    redis_client.xgroup_create(STREAM, GROUP, "0")
    redis_client.xreadgroup(GROUP, "gone", {STREAM: ">"})
    redis_client.xdel(STREAM, entries[1])
    got: list[int] = []
    with capture_logs() as logs, running(consumer(redis_url, lambda it: got.append(number_of(it)))):
        wait_until(lambda: pending(redis_client) == 0)
    assert sorted(got) == [0, 2]
    assert [line["entries"] for line in logs if "messages are gone" in line["event"]] == [
        [entries[1]]
    ]


def test_what_an_operator_requeues_is_handled_with_all_its_deliveries_before_it(
    redis_url: str, redis_client: Any
) -> None:
    mended = threading.Event()
    deliveries: list[int] = []

    def handler(message: Any) -> None:
        deliveries.append(message.deliveries)
        if not mended.is_set() or message.deliveries < 2:
            raise FailsError

    (entry_id,) = feed(redis_client, [1])
    with running(consumer(redis_url, handler, max_deliveries=3)):
        wait_until(lambda: redis_client.xlen(DEAD) == 1)
        mended.set()
        redis_client.execute_command(
            *("XCLAIM", STREAM, GROUP, "requeued", 0, entry_id),
            *("IDLE", DAY_MS, "RETRYCOUNT", 0, "FORCE", "JUSTID"),
        )
        wait_until(lambda: is_done(redis_client))
    assert deliveries == [1, 2, 3, 1, 2]
    assert redis_client.xlen(DEAD) == 1


def test_a_handler_that_takes_longer_than_the_idle_time_keeps_its_message(
    redis_url: str, redis_client: Any
) -> None:
    got: list[int] = []
    finish = threading.Event()

    def handler(message: Any) -> None:
        got.append(number_of(message))
        finish.wait(30)

    feed(redis_client, range(2))
    idle_s = 0.6
    both = [consumer(redis_url, handler, takeover_idle_s=idle_s) for _ in range(2)]
    with running(*both):
        wait_until(lambda: got)
        until = time.monotonic() + 2.2 * idle_s
        holders: set[tuple[str, str]] = set()
        renewed, last_ms = 0, 0
        while time.monotonic() < until:
            rows = redis_client.xpending_range(STREAM, GROUP, "-", "+", 10)
            holders.update((row["message_id"], row["consumer"]) for row in rows)
            assert {row["times_delivered"] for row in rows} == {1}
            # Idle, as Redis counts it, starts again and again.
            renewed += rows[0]["time_since_delivered"] < last_ms
            last_ms = rows[0]["time_since_delivered"]
        finish.set()
        wait_until(lambda: is_done(redis_client))
    assert sorted(got) == [0, 1]
    assert len(holders) == 2, "nobody took them over"
    assert renewed > 2


def test_a_message_that_was_taken_away_meanwhile_is_not_handled(
    redis_url: str, redis_client: Any
) -> None:
    got: list[int] = []
    entered, leave = threading.Event(), threading.Event()

    def handler(message: Any) -> None:
        got.append(number_of(message))
        entered.set()
        leave.wait(30)

    lost: list[int] = []

    class Watch(Observer):
        def lost(self, messages: int) -> None:
            lost.append(messages)

    entries = feed(redis_client, range(3))
    with capture_logs() as logs, running(consumer(redis_url, handler, observer=Watch())):
        entered.wait(30)
        # As a consumer does that sees no sign of life.
        redis_client.xclaim(STREAM, GROUP, "other", 0, entries[1:])
        redis_client.xack(STREAM, GROUP, entries[2])
        # The heartbeat tells. Nobody renews it, so that it is taken back after its idle time.
        wait_until(lambda: any("belong to another" in line["event"] for line in logs))
        leave.set()
        wait_until(lambda: is_done(redis_client))
    assert got == [0, 1]
    assert sum(lost) == 2


def test_in_order_a_failing_message_holds_back_its_subject_alone(
    redis_url: str, redis_client: Any
) -> None:
    got: list[int] = []
    lock = threading.Lock()

    def handler(message: Any) -> None:
        with lock:
            got.append(number_of(message))
        if number_of(message) == 0 and not {28, 29} <= set(got):
            raise FailsError

    for number in range(30):
        feed(redis_client, [number], upgrade=f"upgrade-{number % 3}")
    options = {"ordered": True, "concurrency": 4, "max_deliveries": 10**6}
    with running(consumer(redis_url, handler, **options)):
        wait_until(lambda: is_done(redis_client))
    for rest in range(3):
        first_times = [it for it in dict.fromkeys(got) if it % 3 == rest]
        assert first_times == list(range(rest, 30, 3))
    assert got.count(0) > 1
    assert got.index(29) < got.index(3), "the others did not wait for the failing one"
    assert [number for number in got if number] == list(dict.fromkeys(n for n in got if n))


@pytest.mark.parametrize("ending", ["handed back", "killed"])
def test_in_order_what_the_last_run_left_comes_before_what_is_newer(
    redis_url: str, redis_client: Any, ending: str
) -> None:
    got: list[int] = []
    # More than there is room for at once.
    entries = feed(redis_client, range(30), upgrade="the same")
    redis_client.xgroup_create(STREAM, GROUP, "0")
    redis_client.xreadgroup(GROUP, "me", {STREAM: ">"}, count=25)
    if ending == "handed back":
        # As it is when one stops that had not begun with them.
        redis_client.execute_command(
            *("XCLAIM", STREAM, GROUP, "handed-back", 0, *entries[:25]),
            *("IDLE", DAY_MS, "RETRYCOUNT", 0, "JUSTID"),
        )
    options = {"name": "me", "ordered": True, "batch": 5, "concurrency": 2, "takeover_idle_s": 60}
    with running(consumer(redis_url, lambda it: got.append(number_of(it)), **options)):
        wait_until(lambda: is_done(redis_client))
    assert got == list(range(30))


def test_as_many_handlers_run_at_once_as_there_are_threads(
    redis_url: str, redis_client: Any
) -> None:
    together = threading.Barrier(4)
    feed(redis_client, range(8))
    with running(consumer(redis_url, lambda _: together.wait(30), concurrency=4)):
        wait_until(lambda: is_done(redis_client))


def test_stopping_finishes_what_runs_and_hands_back_what_waits(
    redis_url: str, redis_client: Any
) -> None:
    got: list[int] = []

    def handler(message: Any) -> None:
        got.append(number_of(message))
        if number_of(message) == 0:
            raise FailsError

    entries = feed(redis_client, range(3))
    with running(consumer(redis_url, handler, backoff=Backoff(base_s=60))):
        wait_until(lambda: len(got) == 3 and pending(redis_client) == 1)
    (row,) = redis_client.xpending_range(STREAM, GROUP, "-", "+", 10)
    assert (row["message_id"], row["consumer"]) == (entries[0], "handed-back")
    assert row["times_delivered"] == 1
    assert row["time_since_delivered"] >= DAY_MS
    assert [it["name"] for it in redis_client.xinfo_consumers(STREAM, GROUP)] == ["handed-back"]
    got.clear()
    with running(consumer(redis_url, lambda it: got.append(number_of(it)), takeover_idle_s=60)):
        wait_until(lambda: is_done(redis_client))
    assert got == [0], "taken over at once, long before the idle time"


def test_what_does_not_finish_in_time_is_handed_back_uncounted(
    redis_url: str, redis_client: Any
) -> None:
    entered, leave = threading.Event(), threading.Event()

    def handler(_: Any) -> None:
        entered.set()
        leave.wait(30)

    feed(redis_client, range(5))
    try:
        with running(consumer(redis_url, handler, shutdown_s=0.1)):
            entered.wait(30)
        rows = redis_client.xpending_range(STREAM, GROUP, "-", "+", 10)
        assert {(row["consumer"], row["times_delivered"]) for row in rows} == {("handed-back", 0)}
        assert len(rows) == 5
    finally:
        leave.set()


def test_a_second_stop_does_not_wait_for_handlers(redis_url: str, redis_client: Any) -> None:
    entered, leave = threading.Event(), threading.Event()

    def handler(_: Any) -> None:
        entered.set()
        leave.wait(30)

    feed(redis_client, [1])
    reader = consumer(redis_url, handler, shutdown_s=3600)
    thread = threading.Thread(target=reader.run, daemon=True)
    thread.start()
    entered.wait(30)
    reader.stop()
    reader.stop()
    thread.join(20)
    leave.set()
    assert not thread.is_alive()


def test_a_consumer_runs_once_at_a_time_and_may_run_again(
    redis_url: str, redis_client: Any
) -> None:
    got: list[int] = []
    reader = consumer(redis_url, lambda it: got.append(number_of(it)))
    for round_ in range(2):
        with running(reader):
            feed(redis_client, [round_])
            wait_until(lambda: len(got) == round_ + 1)  # noqa: B023 - it waits here
            with pytest.raises(RuntimeError, match="runs already"):
                reader.run()
    assert got == [0, 1]


def test_a_group_or_stream_that_is_deleted_is_created_again_and_logged(
    redis_url: str, redis_client: Any
) -> None:
    got: list[int] = []
    feed(redis_client, [1])
    with capture_logs() as logs, running(consumer(redis_url, lambda it: got.append(number_of(it)))):
        wait_until(lambda: got == [1])
        redis_client.xgroup_destroy(STREAM, GROUP)
        # From the beginning: what is still in the stream comes again.
        wait_until(lambda: got == [1, 1])
        redis_client.delete(STREAM)
        wait_until(lambda: redis_client.exists(STREAM))
        feed(redis_client, [2])
        wait_until(lambda: got == [1, 1, 2])
        redis_client.flushall()
        feed(redis_client, [3])
        wait_until(lambda: got == [1, 1, 2, 3] and is_done(redis_client))
    told = [line for line in logs if "was deleted" in line["event"]]
    assert len(told) == 3
    assert {line["log_level"] for line in told} == {"warning"}
    assert not any("redis fails" in line["event"] for line in logs)


def test_names_that_hold_nothing_go_after_a_day_and_others_stay(
    redis_url: str, redis_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("listener.consumer.redis_group.UNUSED_MS", 0)
    feed(redis_client, [1])
    redis_client.xgroup_create(STREAM, GROUP, "0")
    redis_client.xgroup_createconsumer(STREAM, GROUP, "idle")
    redis_client.xreadgroup(GROUP, "holds", {STREAM: ">"})
    with running(consumer(redis_url, print, takeover_idle_s=60)):
        wait_until(lambda: "idle" not in names(redis_client))
        assert "holds" in names(redis_client)


def names(client: Any) -> set[str]:
    return {row["name"] for row in client.xinfo_consumers(STREAM, GROUP)}


def test_all_partitions_are_read(redis_url: str, redis_client: Any) -> None:
    got: list[tuple[int, int]] = []
    for partition in range(3):
        feed(redis_client, range(20), stream=f"{{fota:{partition}}}:messages")
    handler = lambda it: got.append((it.partition, number_of(it)))  # noqa: E731
    with running(consumer(redis_url, handler, partitions=3, batch=6)):
        wait_until(lambda: len(got) == 60)
    for partition in range(3):
        assert [n for where, n in got if where == partition] == list(range(20))


def test_a_consumer_may_keep_to_some_partitions(redis_url: str, redis_client: Any) -> None:
    got: list[int] = []
    for partition in range(3):
        feed(redis_client, [partition], stream=f"{{fota:{partition}}}:messages")
    reader = consumer(redis_url, lambda it: got.append(it.partition), partitions=3, only=[0, 2])
    with running(reader):
        wait_until(lambda: sorted(got) == [0, 2])
    assert not redis_client.xinfo_groups("{fota:1}:messages")


def test_the_documented_rights_are_enough(redis_url: str, redis_client: Any) -> None:
    contract = (ROOT / "docs" / "queue.md").read_text().replace("billing", GROUP)
    (needed_by_all,) = re.findall(r"^    ACL SETUSER g on >PASSWORD (.*)$", contract, re.MULTILINE)
    (more,) = re.findall(r"^    (\+eval .*)$", contract, re.MULTILINE)
    rights = f"{needed_by_all} {more}".split()
    redis_client.execute_command("ACL", "SETUSER", "reader", "reset", "on", ">word", *rights)
    redis_client.script_flush()
    deliveries: list[int] = []

    def handler(message: Any) -> None:
        deliveries.append(message.deliveries)
        raise FailsError

    try:
        feed(redis_client, [1])
        redis_client.xgroup_create(STREAM, GROUP, "0")
        redis_client.xreadgroup(GROUP, "gone", {STREAM: ">"})
        url = f"{redis_url}?username=reader&password=word"
        with capture_logs() as logs, running(consumer(url, handler, max_deliveries=3)):
            wait_until(lambda: redis_client.xlen(DEAD) == 1)
        assert deliveries == [2, 3]
        assert not [line for line in logs if "redis fails" in line["event"]]
    finally:
        redis_client.execute_command("ACL", "DELUSER", "reader")


def test_an_observer_hears_everything(redis_url: str, redis_client: Any) -> None:
    heard: Counter[str] = Counter()

    class Watch(Observer):
        def received(self, messages: int, partition: int) -> None:
            heard["received"] += messages

        def taken_over(self, messages: int, partition: int) -> None:
            heard["taken over"] += messages

        def handled(self, kind: str, seconds: float) -> None:
            heard[f"handled {kind}"] += 1

        def failed(self, kind: str, error: BaseException) -> None:
            heard["failed"] += 1

        def retried(self, kind: str, delay_s: float) -> None:
            heard["retried"] += 1

        def buried(self, kind: str, reason: str) -> None:
            heard[f"buried {reason}"] += 1

    def handler(message: Any) -> None:
        if number_of(message) == 0:
            raise FailsError

    feed(redis_client, range(5))
    redis_client.xgroup_create(STREAM, GROUP, "0")
    redis_client.xreadgroup(GROUP, "gone", {STREAM: ">"}, count=1)
    redis_client.xadd(STREAM, {"no": "message"})
    with running(consumer(redis_url, handler, max_deliveries=3, observer=Watch())):
        wait_until(lambda: is_done(redis_client))
    assert heard == {
        "received": 5,
        "taken over": 1,
        "handled upgrade-finished": 4,
        "failed": 2,
        "retried": 1,
        "buried handler-failed": 1,
        "buried malformed": 1,
    }


def test_a_rejected_message_is_dead_after_its_first_delivery(
    redis_url: str, redis_client: Any
) -> None:
    def reject(_: Any) -> None:
        raise Reject("no such tariff")

    feed(redis_client, [1])
    with running(consumer(redis_url, reject)):
        wait_until(lambda: redis_client.xlen(DEAD) == 1)
    [(_, dead)] = redis_client.xrange(DEAD)
    assert {name: dead[name] for name in ("reason", "deliveries")} == {
        "reason": "rejected",
        "deliveries": "1",
    }
    assert "no such tariff" in dead["error"]
    assert pending(redis_client) == 0


def test_a_handler_has_its_own_number_of_deliveries_and_backoff(
    redis_url: str, redis_client: Any
) -> None:
    got: list[int] = []
    # With the consumer's own backoff the second delivery would come after an hour.
    reader = consumer(redis_url, max_deliveries=9, backoff=Backoff(base_s=3600, cap_s=3600))

    @reader.on("upgrade-finished", max_deliveries=2, backoff=Backoff(base_s=0, cap_s=0))
    def fail(message: Any) -> None:
        got.append(message.deliveries)
        raise FailsError

    feed(redis_client, [1])
    with running(reader):
        wait_until(lambda: redis_client.xlen(DEAD) == 1)
    assert got == [1, 2]
    assert redis_client.xrange(DEAD)[0][1]["reason"] == "handler-failed"


@pytest.mark.parametrize("in_a_group", [False, True])
def test_a_handler_says_when_its_message_is_to_be_handled_again(
    redis_url: str, redis_client: Any, *, in_a_group: bool
) -> None:
    got: list[int] = []

    def retry_at_once(message: Any) -> None:
        got.append(message.deliveries)
        if len(got) == 1:
            again = Retry("not yet", after_s=0)
            raise BaseExceptionGroup("as a task group raises it", [again]) if in_a_group else again

    feed(redis_client, [1])
    with running(consumer(redis_url, retry_at_once, backoff=Backoff(base_s=3600, cap_s=3600))):
        wait_until(lambda: is_done(redis_client) and len(got) == 2)
    assert got == [1, 2]
    assert redis_client.xlen(DEAD) == 0
