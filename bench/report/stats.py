"""Percentiles, medians, ratios of paired rounds, and the targets of the comparison. Pure."""

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Run = dict[str, Any]
MAX_WORKER_MB = 80
FSYNCS = ("everysec", "always")
# Messages a second over another contender's: its name, connections, and the least by appendfsync.
MIN_RATIOS = (
    ("fastapi", 64, {"everysec": 1.5, "always": 1.5}),
    ("fastapi", 16, {"everysec": 1.4, "always": 1.4}),
    ("flask", 64, {"everysec": 2.5, "always": 3.0}),
)
MAX_CPU_RATIO = 0.7
MAX_P99_RATIO = 1.0
TITLES = {"fastapi": "FastAPI's", "flask": "Flask's"}


def percentile(values: Sequence[float], share: float) -> float:
    """The least value that `share` percent of all values do not exceed (nearest rank).

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no values")
    rank = max(1, math.ceil(len(values) * share / 100))
    return sorted(values)[rank - 1]


def latency_line(name: str, latencies_ms: Sequence[float]) -> str:
    """A line about messages that were all answered 200.

    Raises:
        ValueError: there are no latencies.
    """
    p50, p99 = (percentile(latencies_ms, share) for share in (50, 99))
    return (
        f"{name}: {len(latencies_ms)} messages, all answered 200; p50 {p50:.1f} ms, p99 {p99:.1f} ms, "
        f"slowest {max(latencies_ms):.1f} ms"
    )


@dataclass(frozen=True)
class Spread:
    """The median of some rounds, and the range."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Raises statistics.StatisticsError if there are no values."""
        return cls(statistics.median(values), min(values), max(values))


def select(runs: Iterable[Run], **labels: Any) -> list[Run]:
    """The runs that have all these values."""
    return [run for run in runs if all(run.get(name) == value for name, value in labels.items())]


def ratio(runs: Iterable[Run], figure: str, numerator: Run, denominator: Run) -> Spread | None:
    """Divides a figure of some runs by that of others, round by round; None if no round has both.

    Rounds are paired because a shared machine drifts: paired figures were measured minutes apart at
    the most.

    Args:
        runs: of all contenders and rounds.
        figure: the name of the figure, such as `per_s`.
        numerator: labels of the runs in the numerator, such as `{"contender": "ours"}`.
        denominator: labels of those in the denominator.
    """
    every = list(runs)
    values = {run["round"]: run[figure] for run in select(every, **numerator)}
    others = {run["round"]: run[figure] for run in select(every, **denominator)}
    quotients = [values[n] / others[n] for n in values if others.get(n)]
    return Spread.of(quotients) if quotients else None


@dataclass(frozen=True)
class Target:
    """A figure and the bound that it must keep."""

    what: str
    found: float
    wanted: float
    at_most: bool = False

    @property
    def met(self) -> bool:
        return self.found <= self.wanted if self.at_most else self.found >= self.wanted

    def as_dict(self) -> dict[str, Any]:
        """As a result has it; see schema.json."""
        return {
            "what": self.what,
            "wanted": f"{'≤' if self.at_most else '≥'} {self.wanted:g}",
            "found": round(self.found, 3),
            "met": self.met,
        }


def targets(runs: Sequence[Run]) -> list[Target]:
    """The targets of the comparison, as far as there are runs for them."""
    every = [target for fsync in FSYNCS for target in _ratio_targets(runs, fsync)]
    ours = select(runs, contender="ours", load="closed")
    if ours:
        memory = max(run["rss_mb"] for run in ours)
        every.append(Target("MB of a worker", memory, MAX_WORKER_MB, at_most=True))
    return every


def _ratio_targets(runs: Sequence[Run], fsync: str) -> Iterator[Target]:
    closed = {"load": "closed", "fsync": fsync}
    for other, connections, least in MIN_RATIOS:
        what = f"messages/s over {TITLES[other]}, {connections} connections, {fsync}"
        labels = {**closed, "connections": connections}
        yield from _ratio_target(what, _against(runs, "per_s", labels, other), least[fsync])
    cpu = _against(runs, "cpu_us", {**closed, "connections": 64}, "fastapi")
    what = f"CPU per message over FastAPI's, 64 connections, {fsync}"
    yield from _ratio_target(what, cpu, MAX_CPU_RATIO, at_most=True)
    p99 = _against(runs, "p99_ms", {"load": "open", "fsync": fsync}, "fastapi")
    what = f"p99 over FastAPI's at half of its greatest rate, {fsync}"
    yield from _ratio_target(what, p99, MAX_P99_RATIO, at_most=True)


def _against(runs: Sequence[Run], figure: str, labels: Run, other: str) -> Spread | None:
    """The service's figure over that of another contender."""
    return ratio(runs, figure, {**labels, "contender": "ours"}, {**labels, "contender": other})


def _ratio_target(
    what: str, spread: Spread | None, wanted: float, *, at_most: bool = False
) -> Iterator[Target]:
    if spread:
        yield Target(what, spread.median, wanted, at_most)
