"""What `check` says of the last sweeps of the recovery."""

from datetime import UTC, datetime, timedelta

import pytest

from listener.diagnostics.check_recovery import finding
from listener.recovered.recovery_state import KindCounts, RecoveryState, SlotRecovery

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
NAME = "0242078689-00001/v1"


def slot(*, age_h: float = 1, problem: str | None = None, **counts: int) -> SlotRecovery:
    swept = (NOW - timedelta(hours=age_h)).isoformat()
    return SlotRecovery(swept, swept, 7, {"upgrade-finished": KindCounts(**counts)}, problem)


@pytest.mark.parametrize(
    ("state", "level", "words"),
    [
        (slot(due=7, announced=7), "ok", "swept 1 h ago, 7 upgrades"),
        (slot(due=7, missing=2), "warning", "never came: 2 upgrade-finished"),
        (slot(due=7, missing=2, recovered=2), "ok", "nothing is missing that is not recovered"),
        (slot(problem="throttled"), "warning", "the last sweep failed: throttled"),
        (slot(age_h=73), "warning", "a sweep is due every 24 h"),
        (slot(age_h=71), "ok", "swept 2 d ago"),
        (SlotRecovery(), "ok", "has not ended yet"),
    ],
)
def test_finding_says_what_the_last_sweep_found(
    state: SlotRecovery, level: str, words: str
) -> None:
    found = finding(RecoveryState("report", 24.0, {NAME: state}), NAME, state, NOW)
    assert found.level == level
    assert words in found.text
    assert NAME in found.text
