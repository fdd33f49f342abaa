"""The comparison: every contender in turn, in rounds, under the same loads."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from bench.load import messages
from bench.report.stats import Run, Spread, select
from bench.rig import session, store
from bench.rig.contender import Contender
from bench.rig.session import MAX_CONNECTIONS, Session


@dataclass(frozen=True)
class Plan:
    """What is to be measured."""

    contenders: tuple[Contender, ...]
    rounds: int
    seconds: int
    connections: tuple[int, ...]
    fsyncs: tuple[str, ...]
    with_open_loop: bool
    log_level: str

    def turns(self) -> Iterator[tuple[int, str, Contender]]:
        """Round, fsync and contender; contenders alternate, so that drift affects all of them."""
        for number in range(self.rounds):
            for fsync in self.fsyncs:
                for contender in self.contenders:
                    yield number, fsync, contender


class Comparison:
    """Runs a plan.

    Args:
        plan: the plan.
        report: is called after each run.

    Attributes:
        runs: the figures so far.
    """

    def __init__(self, plan: Plan, report: Callable[[Run], None]) -> None:
        self.runs: list[Run] = []
        self._plan = plan
        self._report = report
        self._templates = messages.sample_templates()
        self._first_entries: dict[str, dict[str, Any]] = {}

    def run(self) -> None:
        """Measures everything.

        Raises:
            BenchError: a contender did not start, or did not do the same work as the others.
        """
        for number, fsync, contender in self._plan.turns():
            with self._running(contender, fsync) as running:
                for connections in self._plan.connections:
                    figures = running.closed_loop(
                        self._templates, connections=connections, seconds=self._plan.seconds
                    )
                    self._add(number, fsync, contender, figures)
                self._compare_entries(running)
        if self._plan.with_open_loop:
            self._run_open_loops()

    def _run_open_loops(self) -> None:
        for number, fsync, contender in self._plan.turns():
            rate = self._half_of_fastapi_rate(fsync)
            if rate is None:
                continue
            with self._running(contender, fsync) as running:
                figures = running.open_loop(self._templates, rate=rate, seconds=self._plan.seconds)
                self._add(number, fsync, contender, figures)

    def _running(self, contender: Contender, fsync: str) -> AbstractContextManager[Session]:
        return session.running(contender, fsync, log_level=self._plan.log_level)

    def _half_of_fastapi_rate(self, fsync: str) -> float | None:
        runs = select(
            self.runs,
            contender="fastapi",
            fsync=fsync,
            load="closed",
            connections=MAX_CONNECTIONS,
        )
        if not runs:
            return None
        return float(round(Spread.of([run["per_s"] for run in runs]).median / 2))

    def _add(self, number: int, fsync: str, contender: Contender, figures: dict[str, Any]) -> None:
        run = {"round": number, "contender": contender.name, "fsync": fsync, **figures}
        self.runs.append(run)
        self._report(run)

    def _compare_entries(self, running: Session) -> None:
        """Every contender's entries must equal those of the first one."""
        entries = store.sample(running.store)
        if self._first_entries:
            store.check_same(self._first_entries, entries)
        else:
            self._first_entries = entries
