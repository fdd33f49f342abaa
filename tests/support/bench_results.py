"""Results of `bench/run` as a measurement would return them."""

import itertools
from typing import Any

from bench import whole_run as whole
from bench.report import stats

CONTENDERS = ("ours", "fastapi", "flask", "fastify")


def run(contender: str, fsync: str, number: int, **more: Any) -> stats.Run:
    """One run of a closed loop with 64 connections; `more` replaces its figures."""
    figures = {"seconds": 5.0, "rate": None, "p50_ms": 5.0, "p99_ms": 9.0, "p999_ms": 12.0}
    usage = {"cpu_us": 200.0, "redis_cpu_us": 30.0, "rss_mb": 60.0, "pss_mb": 40.0}
    machine = {"messages": 5000, "entries": 5001, "unanswered": 0, "foreign": 0.02, "stolen": 0.0}
    labels = {"contender": contender, "fsync": fsync, "round": number, "connections": 64}
    return {"load": "closed", "per_s": 1000.0} | figures | usage | machine | labels | more


def runs() -> list[stats.Run]:
    """Two rounds of every contender with both values of appendfsync, and one open loop."""
    every = itertools.product(("everysec", "always"), CONTENDERS, range(2))
    closed = [run(contender, fsync, number) for fsync, contender, number in every]
    return [*closed, run("ours", "always", 0, load="open", rate=500.0)]


def result(every: list[stats.Run]) -> dict[str, Any]:
    """The whole result of a comparison."""
    machine = {
        "date": "2026-11-23T00:00:00Z",
        "processor": "one",
        "cores": 2,
        "memory_gb": 8.0,
        "kernel": "6.1",
        "versions": {"python": "3.11.2", "node": None},
        "commit": "abc",
    }
    return {
        "format": 1,
        "machine": machine,
        "contenders": dict.fromkeys(CONTENDERS, "a title"),
        "options": {"seconds": 5, "rounds": 2},
        "runs": every,
        "targets": [target.as_dict() for target in stats.targets(every)],
    }


def whole_run(comparison: list[stats.Run], growth: list[stats.Run]) -> dict[str, Any]:
    """The figures and targets of `bench/run` without a command."""
    worker = [{"messages": 1e6, "rss_mb": 60.0, "pss_mb": 40.0}] * 3
    memory = [{"messages": 10_000, "bytes": 741.0}]
    figures = {"comparison": comparison, "growth": growth, "memory": memory, "worker": worker}
    targets = [target.as_dict() for target in whole.targets(figures)]
    return {**figures, "targets": targets}
