"""The metrics of `fota consume` that its supervisor makes itself."""

import pytest

from listener.consumer.runner.scrape import Scraper


@pytest.mark.parametrize(("problem", "value"), [(None, 1.0), ("it is stopping", 0.0)])
def test_the_metric_of_health_is_what_healthz_reports(
    problem: str | None, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    metrics = {metric.name: metric for metric in Scraper([], lambda: problem).collect()}
    assert metrics["fota_consumer_healthy"].samples[0].value == value
