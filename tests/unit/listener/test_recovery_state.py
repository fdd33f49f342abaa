"""The stored result of a sweep: what one version writes another one reads, or knows that it cannot."""

import json

from hypothesis import given
from hypothesis import strategies as st

from listener.recovered.recovery_state import (
    RECOVERABLE_KINDS,
    KindCounts,
    RecoveryState,
    SlotRecovery,
)

STATE = RecoveryState(
    "report",
    24.0,
    {
        "0242078689-00001/v1": SlotRecovery(
            baseline="2026-11-01T00:00:00Z",
            swept="2026-11-02T00:00:00Z",
            upgrades=12,
            kinds={"upgrade-finished": KindCounts(due=10, announced=6, missing=2, unknown=1)},
        ),
        "0242078689-00001/v3": SlotRecovery(
            swept="2026-11-02T01:00:00Z",
            kinds={"upgrade-finished": KindCounts(due=1, announced=1)},
            problem="rejected",
        ),
    },
)


def test_stored_state_is_read_as_it_was_written() -> None:
    assert RecoveryState.from_json(STATE.to_json()) == STATE


def test_members_of_a_newer_version_are_ignored() -> None:
    content = json.loads(STATE.to_json())
    content["new"] = content["slots"]["0242078689-00001/v1"]["new"] = 1
    content["slots"]["0242078689-00001/v1"]["kinds"]["upgrade-finished"]["new"] = 1
    assert RecoveryState.from_json(json.dumps(content)) == STATE


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_anything_else_is_not_read(text: str) -> None:
    assert RecoveryState.from_json(text) is None


def test_time_without_a_zone_is_not_read() -> None:
    content = json.loads(STATE.to_json())
    content["slots"]["0242078689-00001/v1"]["swept"] = "2026-11-02T00:00:00"
    assert RecoveryState.from_json(json.dumps(content)) is None


def test_kinds_are_summed_over_the_slots() -> None:
    kinds = STATE.kinds()
    assert set(kinds) == set(RECOVERABLE_KINDS)
    assert kinds["upgrade-finished"] == KindCounts(due=11, announced=7, missing=2, unknown=1)
    assert kinds["upgrade-finished"].delivery_rate == 7 / 9
    assert kinds["upgrade-started"].delivery_rate is None


def test_last_sweep_is_that_of_the_slot_that_was_swept_first() -> None:
    assert str(STATE.last_sweep()) == "2026-11-02 00:00:00+00:00"
    never = RecoveryState("report", 24.0, {**STATE.slots, "0242078689-00002/v1": SlotRecovery()})
    assert never.last_sweep() is None
    assert RecoveryState("report", 24.0).last_sweep() is None
