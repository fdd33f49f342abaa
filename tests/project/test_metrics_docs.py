"""Metrics, their documentation, the alerts and the dashboard are in step; promtool accepts the rules."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from listener import metrics
from listener.consumer.monitoring.gauges import RUNNER_GAUGES
from listener.consumer.monitoring.prometheus import CONSUMER_METRICS
from listener.ops.metrics_table import metrics_table, runner_metrics_table
from testbed.programs import find_program
from tests.support import deploy_files

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy/prometheus/alerts.yml"
DASHBOARD = ROOT / "deploy/grafana/dashboard.json"
COUNTS = (*metrics.PROCESS_METRICS, *CONSUMER_METRICS)
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}


def exposed() -> set[str]:
    """Every sample's name that /metrics may hold."""
    described = [next(iter(metric.describe())) for metric in COUNTS]
    events = {f"{one.name}{suffix}" for one in described for suffix in SUFFIXES[one.type]}
    gauges = {gauge.name for gauge in metrics.SCRAPE_GAUGES}
    return events | gauges | {gauge.name for gauge in RUNNER_GAUGES}


def expressions() -> list[str]:
    rules = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [rule["expr"] for rule in rules] + [
        target["expr"] for panel in panels for target in panel["targets"]
    ]


def test_the_page_on_metrics_is_what_the_declarations_say() -> None:
    text = (ROOT / "docs/metrics.md").read_text()
    assert f"\n{metrics_table()}\n## Consumers\n" in text
    assert text.endswith(f"\n{runner_metrics_table()}")


def test_alerts_and_dashboard_ask_only_for_metrics_that_there_are() -> None:
    asked = {name for text in expressions() for name in re.findall(r"fota_\w+", text)}
    assert asked
    assert asked <= exposed()


def test_every_metric_has_a_name_by_the_conventions() -> None:
    for name in exposed():
        assert re.fullmatch(r"fota_[a-z_]+", name), name
    for one in COUNTS:
        if next(iter(one.describe())).type == "histogram":
            assert re.search(r"_(seconds|messages)$", next(iter(one.describe())).name)


def test_every_alert_is_told_in_the_operations_guide() -> None:
    rules = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
    guide = (ROOT / "docs/operations.md").read_text()
    for rule in rules:
        assert f"`{rule['alert']}`" in guide, rule["alert"]


@pytest.mark.parametrize(
    "words",
    [
        ("check", "rules", "deploy/prometheus/alerts.yml"),
        ("check", "config", "deploy/prometheus/prometheus.yml"),
        ("test", "rules", "tests/alerts_test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_accepts_the_files(words: tuple[str, ...]) -> None:
    done = subprocess.run(
        [find_program("promtool"), *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_the_groups_of_the_prometheus_rule(tmp_path: Path) -> None:
    # The Operator gives Prometheus what stands below `spec`.
    spec = deploy_files.manifest("PrometheusRule")["spec"]
    rules = tmp_path / "rules.yml"
    rules.write_text(yaml.safe_dump(spec))
    done = subprocess.run(
        [find_program("promtool"), "check", "rules", rules],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{sum(len(group['rules']) for group in spec['groups'])} rules found" in done.stdout
