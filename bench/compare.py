"""The comparison: every contender in turn, in rounds, under the same loads."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from bench.load import messages
from bench.report.stats import Run, Spread, select
from bench.rig import session, store
from bench.rig.contender import Contender
from bench.rig.session import MAX_CONNECTIONS, Session

# Of the latency at a fixed rate, which varies more between rounds than throughput does.
MIN_OPEN_ROUNDS = 7
CLOSED, OPEN = "closed", "open"


@dataclass(frozen=True)
class Plan:
    """What is to be measured.

    Attributes:
        open_rounds: at a fixed rate; 0: not at all. `open_seconds`: of each of those.
    """

    contenders: tuple[Contender, ...]
    rounds: int
    seconds: int
    connections: tuple[int, ...]
    fsyncs: tuple[str, ...]
    open_rounds: int
    open_seconds: int
    log_level: str

    def turns(self, rounds: int) -> Iterator[tuple[int, str, Contender]]:
        """Round, fsync and contender; contenders alternate, so that drift affects all of them."""
        for number in range(rounds):
            for fsync in self.fsyncs:
                for contender in self.contenders:
                    yield number, fsync, contender


class Comparison:
    """Runs a plan. What has been measured already is not measured again.

    Args:
        plan: the plan.
        report: is called after each run.
        runs: the figures so far; later ones are appended.
    """

    def __init__(
        self, plan: Plan, report: Callable[[Run], None], runs: list[Run] | None = None
    ) -> None:
        self.runs: list[Run] = [] if runs is None else runs
        self._plan = plan
        self._report = report
        self._templates = messages.sample_templates()
        self._first_entries: dict[str, dict[str, Any]] = {}

    def run_closed_loops(self) -> None:
        """Measures how many messages each contender takes.

        Raises:
            BenchError: a contender did not start, or did not do the same work as the others.
        """
        for number, fsync, contender in self._plan.turns(self._plan.rounds):
            missing = [
                connections
                for connections in self._plan.connections
                if not self._runs_of(number, fsync, contender, CLOSED, connections=connections)
            ]
            if missing:
                self._run_closed_loop(number, fsync, contender, missing)

    def run_open_loops(self) -> None:
        """Measures the latency at half of FastAPI's greatest rate, where that is known.

        Raises:
            BenchError: a contender did not start, or refused messages.
        """
        for number, fsync, contender in self._plan.turns(self._plan.open_rounds):
            rate = self._half_of_fastapi_rate(fsync)
            if rate is None or self._runs_of(number, fsync, contender, OPEN):
                continue
            with self._running(contender, fsync) as running:
                figures = running.open_loop(
                    self._templates, rate=rate, seconds=self._plan.open_seconds
                )
                self._add(number, fsync, contender, figures)

    def _run_closed_loop(
        self, number: int, fsync: str, contender: Contender, connections: Sequence[int]
    ) -> None:
        with self._running(contender, fsync) as running:
            for count in connections:
                figures = running.closed_loop(
                    self._templates, connections=count, seconds=self._plan.seconds
                )
                self._add(number, fsync, contender, figures)
            self._compare_entries(running)

    def _runs_of(
        self, number: int, fsync: str, contender: Contender, load: str, **more: Any
    ) -> list[Run]:
        labels = {"round": number, "fsync": fsync, "contender": contender.name, "load": load}
        return select(self.runs, **labels, **more)

    def _running(self, contender: Contender, fsync: str) -> AbstractContextManager[Session]:
        return session.running(contender, fsync, log_level=self._plan.log_level)

    def _half_of_fastapi_rate(self, fsync: str) -> float | None:
        labels = {"contender": "fastapi", "load": CLOSED, "connections": MAX_CONNECTIONS}
        runs = select(self.runs, fsync=fsync, **labels)
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
