"""What the registrar counts, as an alert reads it."""

from dataclasses import replace

import pytest
from prometheus_client import REGISTRY

from listener.registration_state import Observation, Result
from registrar.metrics import PrometheusMetrics

SEEN = Observation(
    account="counted",
    version="v1",
    desired_url="https://fota.example/cb",
    registered_url="https://fota.example/cb",
    ours=True,
    since="2026-11-23T08:00:00Z",
    contender=None,
    tick="2026-11-23T08:00:00Z",
    result="as-desired",
    reason="as-desired",
    detail="",
    by="one",
    fence=1,
    token_age_s=None,
)


def drifted() -> float | None:
    return REGISTRY.get_sample_value(
        "fota_registrar_drift_total", {"account": SEEN.account, "version": SEEN.version}
    )


def test_drift_is_counted_from_zero_and_only_where_the_url_had_been_ours() -> None:
    told = PrometheusMetrics()
    told.reconciled(replace(SEEN, result="registered"), None)
    assert drifted() == 0
    told.reconciled(SEEN, SEEN)
    assert drifted() == 0
    left = replace(SEEN, result="yielded", reason="another-owner", ours=False)
    told.reconciled(left, SEEN)
    assert drifted() == 1
    told.reconciled(left, replace(SEEN, ours=False))
    assert drifted() == 1


@pytest.mark.parametrize(
    ("result", "reason", "drift"),
    [
        ("registered", "absent", 1),
        ("registered", "takeover", 1),
        ("yielded", "another-owner", 1),
        ("yielded", "flapping", 1),
        ("as-desired", "flapping", 0),
        ("registered", "credentials-differ", 0),
        ("registered", "token-rotated", 0),
        ("registered", "sibling", 0),
        ("registered", "by-hand", 0),
        ("yielded", "superseded", 0),
        ("failed", "http-503", 0),
    ],
)
def test_drift_is_what_others_did_and_not_our_own_changes(
    result: Result, reason: str, drift: int
) -> None:
    before = drifted() or 0
    PrometheusMetrics().reconciled(replace(SEEN, result=result, reason=reason), SEEN)
    assert (drifted() or 0) - before == drift
