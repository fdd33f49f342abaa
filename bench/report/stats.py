"""From single runs to what is reported: percentiles, medians and ratios. Pure."""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Run = dict[str, Any]


def percentile(values: Sequence[float], share: float) -> float:
    """The least value that `share` percent of all do not exceed (nearest rank).

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no values")
    rank = max(1, math.ceil(len(values) * share / 100))
    return sorted(values)[rank - 1]


@dataclass(frozen=True)
class Spread:
    """The median of some rounds, and between what they lay."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Raises statistics.StatisticsError if there are none."""
        return cls(statistics.median(values), min(values), max(values))


def select(runs: Iterable[Run], **wanted: Any) -> list[Run]:
    """The runs that have all these values."""
    return [run for run in runs if all(run.get(name) == value for name, value in wanted.items())]


def ratio(runs: Iterable[Run], figure: str, one: Run, other: Run) -> Spread | None:
    """How many times `other`'s figure `one`'s is, round by round; None if no round has both.

    Rounds are paired because a shared machine drifts: what is compared was measured minutes apart at
    the most.

    Args:
        runs: of all contenders and rounds.
        figure: the name of what is compared, such as `per_s`.
        one: what the runs in the numerator have, such as `{"contender": "ours"}`.
        other: what those in the denominator have.
    """
    every = list(runs)
    values = {run["round"]: run[figure] for run in select(every, **one)}
    others = {run["round"]: run[figure] for run in select(every, **other)}
    pairs = [values[n] / others[n] for n in values if others.get(n)]
    return Spread.of(pairs) if pairs else None


@dataclass(frozen=True)
class Target:
    """Something that the figures shall show."""

    what: str
    found: float
    wanted: float
    at_most: bool = False

    @property
    def met(self) -> bool:
        """Whether they do."""
        return self.found <= self.wanted if self.at_most else self.found >= self.wanted

    def as_dict(self) -> dict[str, Any]:
        """For the report."""
        return {
            "what": self.what,
            "wanted": f"{'≤' if self.at_most else '≥'} {self.wanted:g}",
            "found": round(self.found, 3),
            "met": self.met,
        }


def targets(runs: Sequence[Run]) -> list[Target]:
    """The comparisons that are asked for, as far as there are runs for them."""
    found: list[Target] = []
    for fsync, over_fastapi, over_flask in (("everysec", 1.2, 2.0), ("always", 1.5, 3.0)):
        at_full = {"load": "closed", "connections": 64, "fsync": fsync}
        add = _adder(found, runs, at_full)
        add(f"messages/s over FastAPI's, {fsync}", "per_s", "fastapi", over_fastapi)
        add(f"messages/s over Flask's, {fsync}", "per_s", "flask", over_flask)
        add(f"CPU per message over FastAPI's, {fsync}", "cpu_us", "fastapi", 0.8, at_most=True)
        add = _adder(found, runs, {"load": "open", "fsync": fsync})
        what = f"p99 over FastAPI's at half of its greatest rate, {fsync}"
        add(what, "p99_ms", "fastapi", 1.0, at_most=True)
    ours = select(runs, contender="ours", load="closed")
    if ours:
        memory = max(run["rss_mb"] for run in ours)
        found.append(Target("MB of a worker", memory, 80, at_most=True))
    return found


def _adder(found: list[Target], runs: Sequence[Run], where: Run) -> Callable[..., None]:
    def add(what: str, figure: str, other: str, wanted: float, *, at_most: bool = False) -> None:
        spread = ratio(runs, figure, {**where, "contender": "ours"}, {**where, "contender": other})
        if spread:
            found.append(Target(what, spread.median, wanted, at_most))

    return add
