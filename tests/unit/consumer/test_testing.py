"""The aids for tests of a consumer's program: samples, the run in memory, and pytest's fixture."""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from listener.consumer import (
    Backoff,
    Consumer,
    FirmwareAvailable,
    HandlerTimeoutError,
    Message,
    Observer,
    Reject,
    Retry,
    UpgradeFinished,
    UpgradeScheduled,
    message,
)
from listener.consumer.testing import InMemoryRun, RunFactory, recovered_sample, sample, samples
from listener.messages.kinds import KIND_NAMES, KINDS_BY_NAME
from listener.messages.members import members_of
from listener.pytest_plugin import fota_run

__all__ = ["fota_run"]

ROOT = Path(__file__).parents[3]


def test_there_is_a_sample_of_every_kind_and_it_has_a_value_for_each_attribute() -> None:
    assert list(samples()) == list(KIND_NAMES)
    for kind, data in samples().items():
        typed = message(data)
        assert typed.kind == kind
        assert "password" not in data
        if kind in KINDS_BY_NAME:
            members = members_of(KINDS_BY_NAME[kind].message)
            assert all(getattr(typed, attribute) for attribute in members)
    assert sample(UpgradeFinished) == sample("upgrade-finished")


def test_sample_has_the_attributes_that_are_asked_for() -> None:
    finished = message(sample(UpgradeFinished, upgrade_id="u-1", status=None, account="a-1"))
    assert isinstance(finished, UpgradeFinished)
    assert (finished.upgrade_id, finished.subject) == ("u-1", "u-1")
    assert (finished.status, finished.account) == (None, "a-1")
    scheduled = message(sample(UpgradeScheduled, devices=[{"device_id": "1"}, {"deviceId": "2"}]))
    assert isinstance(scheduled, UpgradeScheduled)
    assert [device.device_id for device in scheduled.devices] == ["1", "2"]
    available = message(sample(FirmwareAvailable, firmware=[{"from_version": "1"}]))
    assert isinstance(available, FirmwareAvailable)
    assert [each.from_version for each in available.firmware] == ["1"]
    assert sample("unknown", campaignId="c-1")["campaignId"] == "c-1"


def test_attribute_that_the_kind_does_not_have_is_refused() -> None:
    with pytest.raises(
        TypeError, match="no attribute 'upgradeId'; it has: firmware_name, upgrade_i"
    ):
        sample("upgrade-finished", upgradeId="u-1")
    with pytest.raises(ValueError, match="there is no kind 'upgrade-paused'"):
        sample("upgrade-paused")


FIXED = Backoff(base_s=10, cap_s=100)


class Recorder:
    """A consumer whose handlers do as a message's `reason` says."""

    def __init__(self, **options: Any) -> None:
        self.got: list[tuple[str, int]] = []
        self.consumer = Consumer(group="g", **{"backoff": FIXED, "max_deliveries": 3, **options})
        self.consumer.on("upgrade-finished")(self.finished)

    def finished(self, message: UpgradeFinished) -> None:
        self.got.append((str(message.device_id), message.deliveries))
        if message.reason == "fails":
            raise LookupError(message.device_id)
        if message.reason == "rejects":
            raise Reject("no such device")
        if message.reason == "once" and message.deliveries == 1:
            raise Retry(after_s=3600)


def finished(device: int, reason: str = "", upgrade: str = "u-1") -> dict[str, Any]:
    return sample("upgrade-finished", device_id=str(device), reason=reason, upgrade_id=upgrade)


def test_retries_come_when_their_backoff_says_until_the_message_is_dead(
    fota_run: RunFactory,
) -> None:
    recorder = Recorder()
    run = fota_run(recorder.consumer, start=datetime(2026, 11, 23, 8, tzinfo=UTC))
    [entry_id] = run.add(finished(1, "fails"))
    run.handle_due()
    assert recorder.got == [("1", 1)]
    run.advance(9.9)
    assert recorder.got == [("1", 1)]
    run.advance(0.1)
    assert recorder.got == [("1", 1), ("1", 2)]
    assert run.pending == [entry_id]
    run.run()
    assert run.pending == []
    assert [(each.outcome, each.retry_in_s) for each in run.handlings] == [
        ("retried", 10),
        ("retried", 20),
        ("dead", None),
    ]
    assert run.now == datetime(2026, 11, 23, 8, 0, 30, tzinfo=UTC)
    [letter] = run.dead
    assert (letter.reason, letter.error, letter.deliveries) == (
        "handler-failed",
        "LookupError: 1",
        3,
    )
    assert letter.message.entry_id == entry_id
    assert "raise LookupError(message.device_id)" in letter.traceback
    assert [type(each.error) for each in run.handlings] == [LookupError] * 3


@pytest.mark.parametrize("ordered", [False, True])
def test_failing_message_holds_up_its_upgrade_alone_and_only_if_order_is_kept(
    fota_run: RunFactory, *, ordered: bool
) -> None:
    recorder = Recorder(ordered=ordered)
    run = fota_run(recorder.consumer)
    run.add(finished(1, "once"), finished(2), finished(3, upgrade="u-2"))
    run.handle_due()
    assert [device for device, _ in recorder.got] == (["1", "3"] if ordered else ["1", "2", "3"])
    run.run()
    order = ["1", "3", "1", "2"] if ordered else ["1", "2", "3", "1"]
    assert [device for device, _ in recorder.got] == order
    assert len(run.acknowledged) == 3
    assert run.now - run.handlings[0].at == timedelta(hours=1)


def test_kind_without_a_handler_is_acknowledged_as_unhandled(fota_run: RunFactory) -> None:
    run = fota_run(Recorder().consumer)
    run.add(*samples().values())
    run.run()
    assert [each.outcome for each in run.handlings] == [
        "handled" if kind == "upgrade-finished" else "unhandled" for kind in KIND_NAMES
    ]
    assert len(run.acknowledged) == len(KIND_NAMES)


def test_recovered_message_is_given_to_every_handler_but_those_that_do_without(
    fota_run: RunFactory,
) -> None:
    consumer = Consumer(group="g")
    handled: list[str] = []

    @consumer.on("upgrade-finished", recovered=False)
    def finished(message: UpgradeFinished) -> None:
        handled.append(f"finished, {message.recovered is not None}")

    @consumer.on()
    def rest(message: Message) -> None:
        handled.append(f"{message.kind}, {message.recovered is not None}")

    report = {"id": "u-1", "status": "Finished"}
    run = fota_run(consumer)
    for kind in ("upgrade-finished", "upgrade-started"):
        run.add(recovered_sample(kind, report, upgrade_id="u-1"), sample(kind))
    run.run()
    assert handled == ["finished, False", "upgrade-started, True", "upgrade-started, False"]
    outcomes = [handling.outcome for handling in run.handlings]
    assert outcomes == ["unhandled", "handled", "handled", "handled"]
    assert not run.pending


def test_dispatch_gives_a_recovered_message_to_no_handler_that_does_without() -> None:
    consumer = Consumer(group="g")
    handled: list[Message] = []
    consumer.on("upgrade-finished", recovered=False)(handled.append)
    consumer.on("upgrade-started")(handled.append)
    given = [
        consumer.dispatch(recovered_sample(kind, {}, upgrade_id="u-1"))
        for kind in ("upgrade-finished", "upgrade-started")
    ]
    assert given == [False, True]
    assert [message.kind for message in handled] == ["upgrade-started"]


def test_async_handler_is_run_to_its_end_each_time(fota_run: RunFactory) -> None:
    consumer, threads = Consumer(group="g", max_deliveries=2), set()

    @consumer.on("upgrade-finished", timeout_s=0.02)
    async def hangs(_: UpgradeFinished) -> None:
        threads.add(threading.current_thread())
        await asyncio.sleep(3600)

    @consumer.on()
    async def rest(_: Any) -> None:
        threads.add(threading.current_thread())
        await asyncio.sleep(0)

    run = fota_run(consumer)
    run.add(finished(1), sample("upgrade-started"))
    run.run()
    assert [each.outcome for each in run.handlings] == ["retried", "handled", "dead"]
    assert [letter.reason for letter in run.dead] == ["timed-out"]
    assert isinstance(run.handlings[0].error, HandlerTimeoutError)
    run.close()
    assert not any(thread.is_alive() for thread in threads)
    with pytest.raises(RuntimeError, match="the run is closed"):
        run.handle_due()


def test_run_can_be_used_within_an_event_loop_of_the_test() -> None:
    consumer, got = Consumer(group="g"), []

    @consumer.on()
    async def handler(message: Any) -> None:
        got.append(message.kind)

    async def test() -> None:
        with InMemoryRun(consumer) as run:
            run.add(sample("upgrade-started"))
            run.run()
        assert got == ["upgrade-started"]
        assert await consumer.dispatch_async(sample("upgrade-finished"))
        with pytest.raises(RuntimeError, match="await dispatch_async"):
            consumer.dispatch(sample("upgrade-finished"))

    asyncio.run(test())


def test_surroundings_and_observers_of_the_consumer_take_part(fota_run: RunFactory) -> None:
    heard: list[str] = []

    class Watch(Observer):
        def received(self, messages: int, partition: int) -> None:
            heard.append(f"received {messages}")

        def handled(self, kind: str, seconds: float) -> None:
            heard.append(f"handled {kind}")

    consumer = Consumer(group="g", observer=Watch())

    @consumer.around
    @contextmanager
    def transaction(_: Any) -> Iterator[None]:
        heard.append("begin")
        yield
        heard.append("commit")

    consumer.on()(lambda _: heard.append("handler"))
    run = fota_run(consumer)
    run.add(sample("upgrade-started"))
    run.run()
    assert heard == ["received 1", "begin", "handler", "commit", "handled upgrade-started"]


def test_handler_may_add_messages_and_a_typed_message_is_taken_as_it_is(
    fota_run: RunFactory,
) -> None:
    consumer, got = Consumer(group="g", partitions=4), []

    @consumer.on("upgrade-finished")
    def follow(it: UpgradeFinished) -> None:
        got.append(it)
        if it.device_id == "1":
            run.add(finished(2))

    run = fota_run(consumer)
    first = message(finished(1), arrived=datetime(2020, 1, 1, tzinfo=UTC))
    run.add(first)
    run.run()
    assert [it.device_id for it in got] == ["1", "2"]
    assert got[0].time == first.time
    assert got[0].id == first.id
    assert got[0].partition == got[1].partition, "messages of an upgrade share a partition"


def test_run_refuses_what_a_real_run_refuses() -> None:
    with pytest.raises(RuntimeError, match="there is no handler"):
        InMemoryRun(Consumer(group="g"))
    with pytest.raises(ValueError, match="time zone"):
        InMemoryRun(Recorder().consumer, start=datetime(2026, 1, 1))  # noqa: DTZ001 - it is refused
    with InMemoryRun(Recorder().consumer) as run, pytest.raises(ValueError, match="backwards"):
        run.advance(-1)


def test_plugin_imports_no_library_until_its_fixture_is_used() -> None:
    """pytest imports it at each start, in every project that has installed the package."""
    script = (
        "import json, sys, pytest; before = set(sys.modules); import listener.pytest_plugin;"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == ["listener", "listener.pytest_plugin"]
