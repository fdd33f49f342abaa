"""What `bin/chaos` calls a failure, and how it deals out its rounds."""

import re
from contextlib import nullcontext
from random import Random
from typing import Any

import pytest

from bench.chaos import __main__ as command
from bench.chaos import report
from bench.chaos.alarm import Alarm, Exempt
from bench.chaos.fault import Fault
from bench.chaos.faults import FAULTS
from bench.chaos.ledger import Totals
from bench.chaos.runner import RoundResult, schedule

QUIET = Exempt("nothing is there that could report it")


def environment(_: Any) -> Any:
    return nullcontext()


def other_environment(_: Any) -> Any:
    return nullcontext()


def fault(name: str = "f", at: Any = environment, **more: Any) -> Fault:
    return Fault(name, "something breaks", at, lambda environment, rng: None, QUIET, **more)


def problems(
    totals: Totals,
    *,
    kept_s: float | None = 1.0,
    set_aside: int = 0,
    reported: bool | None = None,
    **more: Any,
) -> list[str]:
    """Of a round in which, besides, a message was acknowledged, and late once more."""
    p99_s, totals = more.pop("took_p99_s", None), totals + Totals(sent=1, acknowledged=1, late=1)
    [line] = report.by_fault(
        [RoundResult(fault(**more), totals, kept_s, p99_s, set_aside, reported)]
    )
    return line.problems


def test_a_round_without_harm_passes() -> None:
    assert problems(Totals(sent=9, acknowledged=9, slowest_s=1.99)) == []


@pytest.mark.parametrize(
    "totals",
    [Totals(lost=1), Totals(doubled=1), Totals(slowest_s=2.0)],
    ids=["lost", "doubled", "slow"],
)
def test_what_is_never_allowed(totals: Totals) -> None:
    assert len(problems(totals, may_refuse=True, may_break=True)) == 1


def test_a_round_in_which_nothing_was_acknowledged_shows_nothing() -> None:
    refused = RoundResult(fault(may_refuse=True), Totals(sent=9, refused=18), 1.0, None)
    [line] = report.by_fault([refused])
    assert line.problems == ["nothing was acknowledged", "no late duplicate was acknowledged"]


def test_round_whose_late_duplicates_were_not_acknowledged_shows_nothing() -> None:
    [line] = report.by_fault([RoundResult(fault(), Totals(sent=9, acknowledged=9), 1.0, None)])
    assert line.problems == ["no late duplicate was acknowledged"]


def test_message_that_is_left_set_aside_is_a_failure() -> None:
    assert problems(Totals(), set_aside=2) == ["2 set aside"]
    assert problems(Totals(), set_aside=2, may_set_aside=True) == []


def test_fault_that_nothing_reported_is_a_failure_unless_it_is_exempt() -> None:
    assert problems(Totals(), reported=False) == ["reported in 0 of 1 rounds"]
    assert problems(Totals(), reported=True) == problems(Totals(), reported=None) == []


def test_every_fault_says_what_must_report_it_or_why_nothing_must() -> None:
    for each in FAULTS.values():
        if isinstance(each.alarm, Alarm):
            re.compile(each.alarm.pattern)
        else:
            assert len(each.alarm.reason) > 10, each.name


def test_a_fault_that_cannot_be_done_here_is_left_out_and_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(command, "can_mount", lambda: False)
    faults, left_out = command._possible(())
    assert left_out == ["disk-full"]
    assert not any(fault.mounts for fault in faults)


def test_refusals_are_allowed_only_where_neither_redis_nor_the_spool_works() -> None:
    assert problems(Totals(refused=1)) == ["1 refused"]
    assert problems(Totals(refused=1), may_refuse=True) == []


def test_broken_connections_are_allowed_only_where_gunicorn_is_hit() -> None:
    assert problems(Totals(unanswered=1)) == ["1 unanswered"]
    assert problems(Totals(unanswered=1), may_break=True) == []


def test_a_spool_that_does_not_drain_in_time_is_a_failure() -> None:
    assert problems(Totals(), kept_s=None) == ["not all in Redis within 30 s"]


def test_p99_counts_only_where_the_fault_sets_a_limit() -> None:
    assert problems(Totals(), took_p99_s=0.2) == []
    assert problems(Totals(), took_p99_s=0.2, p99_s=0.1) == ["p99 200 ms once noticed"]


def test_rounds_of_a_fault_are_one_line_and_the_worst_counts() -> None:
    results = [
        RoundResult(fault(), Totals(sent=1, lost=lost), lost or None, None) for lost in (0, 2)
    ]
    [line] = report.by_fault(results)
    assert (line.totals.sent, line.totals.lost, line.kept_s) == (2, 2, None)
    assert not report.passed([line])
    written = report.as_json([line], seed=1)
    assert (written["seed"], written["passed"]) == (1, False)
    assert written["faults"][0]["lost"] == 2


def test_rounds_are_dealt_evenly_and_those_of_a_stage_stand_together() -> None:
    faults = [fault("a"), fault("b", other_environment), fault("c")]
    scheduled = schedule(faults, 8, Random(1))
    counts = [sum(each is one for each in scheduled) for one in faults]
    assert sorted(counts) == [2, 3, 3]
    assert [each.name == "b" for each in scheduled] == [False] * (8 - counts[1]) + [True] * counts[
        1
    ]


def test_the_same_seed_deals_the_same() -> None:
    every = list(FAULTS.values())
    assert (
        schedule(every, 50, Random(7))
        == schedule(every, 50, Random(7))
        != schedule(every, 50, Random(8))
    )
