"""What the registrar counts, as an alert reads it."""

from dataclasses import replace

from prometheus_client import REGISTRY

from registrar.observation import Observation
from registrar.telemetry import Counting

SEEN = Observation(
    account="telemetry",
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


def test_drift_is_counted_from_nought_and_only_where_the_url_had_been_ours() -> None:
    told = Counting()
    told.ticked(replace(SEEN, result="registered"), None)
    assert drifted() == 0
    told.ticked(SEEN, SEEN)
    assert drifted() == 0
    told.ticked(replace(SEEN, result="yielded", ours=False), SEEN)
    assert drifted() == 1
    told.ticked(replace(SEEN, result="yielded", ours=False), replace(SEEN, ours=False))
    assert drifted() == 1
