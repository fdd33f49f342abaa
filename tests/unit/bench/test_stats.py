"""Percentiles, ratios and targets of a benchmark."""

import pytest

from bench.report import stats
from tests.support.bench_results import run


def test_percentile_is_a_value_that_was_measured() -> None:
    values = [float(n) for n in range(1, 101)]
    assert stats.percentile(values, 50) == 50
    assert stats.percentile(values, 99) == 99
    assert stats.percentile(values, 99.9) == 100
    assert stats.percentile([7.0], 0.1) == 7
    with pytest.raises(ValueError, match="no values"):
        stats.percentile([], 50)


def test_ratio_pairs_the_runs_of_one_round() -> None:
    # The machine was twice as fast in the second round, which must not show.
    runs = [
        run("ours", "always", 0, per_s=1500.0),
        run("fastapi", "always", 0, per_s=1000.0),
        run("ours", "always", 1, per_s=3000.0),
        run("fastapi", "always", 1, per_s=2000.0),
        run("ours", "always", 2, per_s=9999.0),
    ]
    ratio = stats.ratio(runs, "per_s", {"contender": "ours"}, {"contender": "fastapi"})
    assert ratio == stats.Spread(1.5, 1.5, 1.5)
    assert stats.ratio(runs, "per_s", {"contender": "ours"}, {"contender": "flask"}) is None


def test_targets_are_met_from_the_right_side() -> None:
    runs = [
        run("ours", "always", 0, per_s=1500.0, cpu_us=71.0),
        run("fastapi", "always", 0, per_s=1000.0, cpu_us=100.0),
    ]
    met = {target.what: target.met for target in stats.targets(runs)}
    assert met == {
        "messages/s over FastAPI's, 64 connections, always": True,
        "CPU per message over FastAPI's, 64 connections, always": False,
        "MB of a worker": True,
    }


def test_latency_at_a_fixed_rate_has_a_target_of_its_own() -> None:
    runs = [
        run("ours", "everysec", 0, load="open", p99_ms=11.0),
        run("fastapi", "everysec", 0, load="open", p99_ms=10.0),
    ]
    [target] = stats.targets(runs)
    assert (target.found, target.met) == (1.1, False)
    assert target.what == "p99 over FastAPI's at half of its greatest rate, everysec"


def test_every_line_of_the_comparison_has_a_target_in_both_modes() -> None:
    closed = [
        run(contender, fsync, 0, connections=connections)
        for contender in ("ours", "fastapi", "flask")
        for fsync in stats.FSYNCS
        for connections in (16, 64)
    ]
    opened = [
        run(name, fsync, 0, load="open") for name in ("ours", "fastapi") for fsync in stats.FSYNCS
    ]
    wanted = {target.what: target.wanted for target in stats.targets([*closed, *opened])}
    assert wanted == {
        "messages/s over FastAPI's, 64 connections, everysec": 1.5,
        "messages/s over FastAPI's, 64 connections, always": 1.5,
        "messages/s over FastAPI's, 16 connections, everysec": 1.4,
        "messages/s over FastAPI's, 16 connections, always": 1.4,
        "messages/s over Flask's, 64 connections, everysec": 2.5,
        "messages/s over Flask's, 64 connections, always": 3.0,
        "CPU per message over FastAPI's, 64 connections, everysec": 0.7,
        "CPU per message over FastAPI's, 64 connections, always": 0.7,
        "p99 over FastAPI's at half of its greatest rate, everysec": 1.0,
        "p99 over FastAPI's at half of its greatest rate, always": 1.0,
        "MB of a worker": 80,
    }
