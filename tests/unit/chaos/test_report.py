"""When a run of `bin/chaos` fails, and what its report says."""

import re
from contextlib import nullcontext
from typing import Any

import pytest

from bench.chaos import __main__ as command
from bench.chaos import report
from bench.chaos.alarm import Alarm, Exempt
from bench.chaos.fault import Fault
from bench.chaos.faults import FAULTS
from bench.chaos.ledger import Totals
from bench.chaos.runner import RoundResult

QUIET = Exempt("nothing could report it")


def environment(*_: Any) -> Any:
    return nullcontext()


def fault(**more: Any) -> Fault:
    return Fault(
        "f", "Something breaks.", environment, lambda environment, rng: None, QUIET, **more
    )


def problems(
    totals: Totals,
    *,
    kept_s: float | None = 1.0,
    set_aside: int = 0,
    reported: bool | None = None,
    **more: Any,
) -> list[str]:
    """Of a round in which one more message was acknowledged, and a late duplicate of it."""
    p99_s, totals = more.pop("took_p99_s", None), totals + Totals(sent=1, acknowledged=1, late=1)
    [result] = report.by_fault(
        [RoundResult(fault(**more), totals, kept_s, p99_s, set_aside, reported)]
    )
    return result.problems


def test_round_without_a_problem_passes() -> None:
    assert problems(Totals(sent=9, acknowledged=9, slowest_s=1.99)) == []


@pytest.mark.parametrize(
    "totals",
    [Totals(lost=1), Totals(doubled=1), Totals(slowest_s=2.0)],
    ids=["lost", "doubled", "slow"],
)
def test_lost_doubled_or_slow_message_always_fails_the_run(totals: Totals) -> None:
    assert len(problems(totals, may_refuse=True, may_break=True)) == 1


def test_round_without_any_acknowledgement_fails_the_run() -> None:
    refused = RoundResult(fault(may_refuse=True), Totals(sent=9, refused=18), 1.0, None)
    [result] = report.by_fault([refused])
    assert result.problems == ["nothing was acknowledged", "no late duplicate was acknowledged"]


def test_round_without_an_acknowledged_late_duplicate_fails_the_run() -> None:
    [result] = report.by_fault([RoundResult(fault(), Totals(sent=9, acknowledged=9), 1.0, None)])
    assert result.problems == ["no late duplicate was acknowledged"]


def test_message_that_remains_set_aside_fails_the_run() -> None:
    assert problems(Totals(), set_aside=2) == ["2 set aside"]
    assert problems(Totals(), set_aside=2, may_set_aside=True) == []


def test_fault_that_nothing_reported_fails_the_run_unless_it_is_exempt() -> None:
    assert problems(Totals(), reported=False) == ["reported in 0 of 1 rounds"]
    assert problems(Totals(), reported=True) == problems(Totals(), reported=None) == []


def test_every_fault_names_its_alarm_or_why_it_has_none() -> None:
    for each in FAULTS.values():
        if isinstance(each.alarm, Alarm):
            re.compile(each.alarm.pattern)
        else:
            assert len(each.alarm.reason) > 10, each.name


def test_fault_that_is_impossible_here_is_left_out_and_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(command, "can_mount", lambda: False)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    faults, left_out = command._possible(())
    assert left_out == ["disk-full"]
    assert not any(fault.mounts for fault in faults)


def test_refusals_are_allowed_only_where_neither_redis_nor_the_spool_works() -> None:
    assert problems(Totals(refused=1)) == ["1 refused"]
    assert problems(Totals(refused=1), may_refuse=True) == []


def test_broken_connections_are_allowed_only_where_gunicorn_is_hit() -> None:
    assert problems(Totals(unanswered=1)) == ["1 unanswered"]
    assert problems(Totals(unanswered=1), may_break=True) == []


def test_spool_that_does_not_drain_in_time_fails_the_run() -> None:
    assert problems(Totals(), kept_s=None) == ["not all in Redis within 30 s"]


def test_p99_counts_only_where_the_fault_sets_a_limit() -> None:
    assert problems(Totals(), took_p99_s=0.2) == []
    assert problems(Totals(), took_p99_s=0.2, p99_s=0.1) == ["p99 200 ms once noticed"]


def test_rounds_of_a_fault_are_one_row_with_the_worst_figures() -> None:
    results = [
        RoundResult(fault(), Totals(sent=1, lost=lost), lost or None, None) for lost in (0, 2)
    ]
    [result] = report.by_fault(results)
    assert (result.totals.sent, result.totals.lost, result.kept_s) == (2, 2, None)
    assert not report.passed([result])
    written = report.as_json([result], seed=1)
    assert (written["seed"], written["passed"]) == (1, False)
    assert written["faults"][0]["lost"] == 2
