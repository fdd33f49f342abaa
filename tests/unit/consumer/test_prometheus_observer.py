"""PrometheusObserver counts what prometheus-client would, message by message."""

import uuid

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Histogram

from listener.consumer.monitoring.prometheus import SECONDS_BUCKETS, PrometheusObserver

NAME = "fota_consumer_handled_seconds"
TIMES = [0.0, 0.001, 0.0011, 0.3, 59.9, 60.0, 61.0, 1000.0, 0.0049, 0.3]


@pytest.fixture
def group() -> str:
    """The registry is the process's own: each test has labels of its own."""
    return uuid.uuid4().hex


def test_times_lie_in_the_same_buckets_as_if_each_were_observed(group: str) -> None:
    registry = CollectorRegistry()
    expected = Histogram("t", "", ["kind"], buckets=SECONDS_BUCKETS, registry=registry)
    observer = PrometheusObserver(group)
    for kind in ("upgrade-started", "upgrade-finished"):
        for seconds in TIMES:
            observer.handled(kind, seconds)
            expected.labels(kind).observe(seconds)
    observer.acknowledging(2 * len(TIMES))
    for kind in ("upgrade-started", "upgrade-finished"):
        for bound in ("0.001", "0.005", "0.5", "60.0", "+Inf"):
            found = REGISTRY.get_sample_value(
                f"{NAME}_bucket", {"group": group, "kind": kind, "le": bound}
            )
            assert found == registry.get_sample_value("t_bucket", {"kind": kind, "le": bound})
        total = REGISTRY.get_sample_value(f"{NAME}_sum", {"group": group, "kind": kind})
        assert total == pytest.approx(sum(TIMES))


def test_message_is_counted_when_it_is_about_to_be_acknowledged_and_once(group: str) -> None:
    observer = PrometheusObserver(group)
    labels = {"group": group, "kind": "unknown"}
    observer.handled("of-a-later-version", 0.1)
    assert REGISTRY.get_sample_value(f"{NAME}_count", labels) == 0
    observer.acknowledging(1)
    observer.acknowledging(1)
    assert REGISTRY.get_sample_value(f"{NAME}_count", labels) == 1
