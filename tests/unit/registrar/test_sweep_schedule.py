"""When a slot is swept next, whatever clocks, gaps and records say."""

import dataclasses
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import redis
import structlog

from registrar.errors import AuthExpiredError, NotExclusiveError, RegistrarError, RejectedError
from registrar.model import Slot
from registrar.recovery import loop
from registrar.recovery.gaps import GapWatch
from registrar.recovery.judging.verdict import Evidence, Look, judge
from registrar.recovery.loop import RecoveryLoop
from registrar.recovery.records.slot_record import SlotRecord
from registrar.recovery.records.tally import tally
from registrar.recovery.records.upgrade_record import Finding, UpgradeRecord, Verdict
from registrar.recovery.schedule import next_sweep
from registrar.recovery.service import Recovery

SLOT = Slot("0242078689-00001", "v1")
NOW = 1_800_000_000_000
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def record(finding: Finding, *, sweep_ms: int = NOW, **more: Any) -> UpgradeRecord:
    return UpgradeRecord("Queued", NOW, {"upgrade-scheduled": finding}, sweep_ms=sweep_ms, **more)


def second_look_ms(*records: UpgradeRecord, distance_ms: int = DAY) -> int:
    named = [(str(number), each) for number, each in enumerate(records)]
    return tally(named, sweep_ms=NOW, distance_ms=distance_ms).second_look_ms


def test_upgrade_that_no_list_has_any_more_asks_for_no_second_look() -> None:
    gone = record(Finding(Verdict.SUSPECTED, NOW - 3 * DAY), sweep_ms=NOW - DAY, absences=3)
    assert second_look_ms(gone) == 0


def test_device_of_an_upgrade_that_is_gone_asks_for_no_second_look() -> None:
    devices = {"upgrade-finished": {"990013907835573": NOW - HOUR}}
    gone = record(Finding(Verdict.SEEN), sweep_ms=NOW - DAY, devices=devices)
    assert second_look_ms(gone) == 0


def test_second_look_follows_the_first_of_an_upgrade_that_was_seen() -> None:
    fresh = record(Finding(Verdict.SUSPECTED, NOW - HOUR))
    gone = record(Finding(Verdict.SUSPECTED, NOW - 3 * DAY), sweep_ms=NOW - DAY)
    assert second_look_ms(fresh, gone) == NOW - HOUR + DAY


def test_kind_of_another_version_is_not_counted() -> None:
    odd = UpgradeRecord(
        "Queued", NOW, {"upgrade-paused": Finding(Verdict.MISSING)}, {"upgrade-paused": {"1": NOW}}
    )
    assert "upgrade-paused" not in tally([("1", odd)], sweep_ms=NOW, distance_ms=DAY).kinds


class Notes:
    """Where gaps are noted, in memory."""

    def __init__(self) -> None:
        self.alive, self.gaps, self.count = 0, 0, 0
        self.noted = threading.Event()

    def note_alive(self, now_ms: int) -> int:
        before, self.alive, self.count = self.alive, now_ms, self.count + 1
        self.noted.set()
        return before

    def note_gap(self, now_ms: int) -> None:
        self.gaps = now_ms


def sweeping_loop(
    notes: Notes, sweep: Callable[[], None], clock_ms: Callable[[], int]
) -> RecoveryLoop:
    store = SimpleNamespace(slots=lambda _: {SLOT: SlotRecord()}, gap_ms=lambda: 0)
    recovery: Any = SimpleNamespace(
        store=store, slots=[SLOT], interval_h=0, run=lambda *_, **__: sweep()
    )
    return RecoveryLoop(recovery, lambda: GapWatch(notes, {}), clock_ms)


def test_long_sweep_is_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica that sweeps runs: it says so during the sweep, too."""
    monkeypatch.setattr(loop, "POLL_S", 0.01)
    notes, swept = Notes(), threading.Event()
    during: list[bool] = []

    def sweep() -> None:
        if not swept.is_set():
            notes.noted.clear()
            during.append(notes.noted.wait(5))
            swept.set()

    running = sweeping_loop(notes, sweep, lambda: NOW)
    running.start()
    try:
        assert swept.wait(20)
    finally:
        running.stop()
    assert during == [True]


def next_of(slot_record: SlotRecord, *, gap_ms: int = 0) -> tuple[int, str]:
    """In milliseconds from now, of a process that started long ago."""
    following = next_sweep(
        SLOT, slot_record, now_ms=NOW, started_ms=NOW - DAY, interval_ms=DAY, gap_ms=gap_ms
    )
    return following.at_ms - NOW, following.cause


def test_second_look_keeps_a_minute_from_the_sweep_before() -> None:
    swept = SlotRecord(baseline_ms=1, swept_ms=NOW - 1, second_look_ms=NOW - DAY)
    assert next_of(swept) == (MINUTE - 1, "second-look")


@pytest.mark.parametrize("ahead_ms", [HOUR, 30 * DAY, 365 * DAY])
@pytest.mark.parametrize("name", ["swept_ms", "retry_ms"])
def test_clock_that_was_ahead_once_silences_no_sweep(name: str, ahead_ms: int) -> None:
    """What it stored is in the future; whatever the record says, a sweep comes within a day and a bit."""
    times: dict[str, Any] = {"baseline_ms": 1, "swept_ms": NOW - HOUR, name: NOW + ahead_ms}
    wait_ms, _ = next_of(SlotRecord(**times))
    assert wait_ms <= 1.1 * DAY
    if name == "swept_ms" or ahead_ms > 2 * DAY:
        assert wait_ms <= 0


def test_wait_that_thingspace_asked_for_is_kept() -> None:
    asked = SlotRecord(baseline_ms=1, swept_ms=NOW - DAY, retry_ms=NOW + DAY)
    assert next_of(asked) == (DAY, "resumed")


def test_clocks_of_two_replicas_may_differ_by_a_little() -> None:
    wait_ms, cause = next_of(SlotRecord(baseline_ms=1, swept_ms=NOW + MINUTE))
    assert wait_ms >= DAY
    assert cause == "interval"


def test_first_look_by_a_clock_that_was_ahead_puts_the_second_off_once() -> None:
    ahead = record(Finding(Verdict.SUSPECTED, NOW + 30 * DAY))
    nothing = Evidence(frozenset())
    looks = [
        Look(at_ms, "Queued", frozenset({"upgrade-scheduled"}), DAY) for at_ms in (NOW, NOW + DAY)
    ]
    once = judge(ahead, looks[0], nothing)
    assert once.kinds["upgrade-scheduled"].first_look_ms == NOW
    twice = judge(once, looks[1], nothing)
    assert twice.kinds["upgrade-scheduled"].verdict is Verdict.MISSING


class Failing:
    """The tools of a sweep that failed."""

    def __init__(self) -> None:
        self.record = SlotRecord()
        self.turn = SimpleNamespace(fencing_token=1)
        self.store = SimpleNamespace(slot=lambda _: self.record, save=self._save)

    def _save(self, _: Slot, stored: SlotRecord, *more: object) -> None:
        del more
        self.record = stored


REFUSALS = [
    RejectedError("rejected", "HTTP 400"),
    RejectedError("forbidden", "HTTP 403"),
    AuthExpiredError("unauthorized", "HTTP 401", {"token", "session"}),
]


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: error.reason)
def test_refused_sweep_is_tried_less_and_less_often(error: RegistrarError) -> None:
    """Each attempt costs the calls of a sweep, and after a 401 a login."""
    now = [NOW]
    fields: Any = dict.fromkeys(f.name for f in dataclasses.fields(Recovery))
    recovery = Recovery(**{**fields, "interval_h": 24.0, "clock_ms": lambda: now[0]})
    tools: Any = Failing()
    attempts = 0
    while now[0] < NOW + 10 * DAY:
        attempts += 1
        recovery._note_failure(SLOT, error, tools)
        assert tools.record.problem == error.reason
        now[0] = tools.record.retry_ms
    # 960 before.
    assert attempts <= 16
    assert tools.record.retry_ms - NOW <= 11 * DAY


@pytest.mark.parametrize(
    ("reason", "level"),
    [("mutex-lost", "warning"), ("mutex-unknown", "warning"), ("mutex-busy", "debug")],
)
def test_loop_warns_of_a_mutex_that_was_lost_and_not_of_one_that_another_holds(
    reason: str, level: str
) -> None:
    def sweep() -> None:
        raise NotExclusiveError(reason)

    with structlog.testing.capture_logs() as lines:
        # The first sweep is due some minutes after the start.
        times = iter((NOW, NOW + HOUR, NOW + HOUR))
        sweeping_loop(Notes(), sweep, lambda: next(times)).tick()
    assert [(line["event"], line["log_level"]) for line in lines] == [("not swept", level)]


def test_result_of_earlier_sweeps_is_deleted_where_none_follows_once_redis_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "POLL_S", 0.01)
    answers: list[Exception | None] = [redis.ConnectionError(), redis.TimeoutError(), None]
    deleted = threading.Event()

    def unpublish() -> None:
        if error := answers.pop(0):
            raise error
        deleted.set()

    store: Any = SimpleNamespace(unpublish=unpublish)
    nothing = loop.NoRecovery(store)
    nothing.start()
    try:
        assert deleted.wait(10)
    finally:
        nothing.stop()
