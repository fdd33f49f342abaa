"""The comparison: every contender in turn, again and again, under the same loads."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bench.load import messages
from bench.report.stats import Run, Spread, select
from bench.rig import session, store
from bench.rig.contender import Contender
from bench.rig.session import MOST_CONNECTIONS, Session


@dataclass(frozen=True)
class Plan:
    """What is to be measured."""

    contenders: tuple[Contender, ...]
    rounds: int
    seconds: int
    connections: tuple[int, ...]
    fsyncs: tuple[str, ...]
    at_rate: bool
    log_level: str

    def turns(self) -> Iterator[tuple[int, str, Contender]]:
        """Round, fsync, contender: contenders take turns, so that drift hits all alike."""
        for number in range(self.rounds):
            for fsync in self.fsyncs:
                for contender in self.contenders:
                    yield number, fsync, contender


class Comparison:
    """Runs a plan; `runs` holds what was found."""

    def __init__(self, plan: Plan, tell: Callable[[Run], None]) -> None:
        """Takes the plan, and whom to tell of each run."""
        self.runs: list[Run] = []
        self._plan = plan
        self._tell = tell
        self._parts = messages.samples()
        self._first_entries: dict[str, dict[str, Any]] = {}

    def run(self) -> None:
        """Measures everything.

        Raises:
            store.MismatchError: a contender did not do the work, or did other work.
            contender.FailedError: one did not start.
        """
        for number, fsync, who in self._plan.turns():
            with session.running(who, fsync, LOG_LEVEL=self._plan.log_level) as running:
                for connections in self._plan.connections:
                    found = running.as_fast_as_it_can(
                        self._parts, connections=connections, seconds=self._plan.seconds
                    )
                    self._keep(number, fsync, who, found)
                self._compare_entries(running)
        if self._plan.at_rate:
            self._run_at_rate()

    def _run_at_rate(self) -> None:
        for number, fsync, who in self._plan.turns():
            rate = self._half_of_fastapis_rate(fsync)
            if rate is None:
                continue
            with session.running(who, fsync, LOG_LEVEL=self._plan.log_level) as running:
                found = running.at_rate(self._parts, rate=rate, seconds=self._plan.seconds)
                self._keep(number, fsync, who, found)

    def _half_of_fastapis_rate(self, fsync: str) -> float | None:
        wanted = {"contender": "fastapi", "fsync": fsync, "load": "closed"}
        fastest = select(self.runs, **wanted, connections=MOST_CONNECTIONS)
        if not fastest:
            return None
        return float(round(Spread.of([run["per_s"] for run in fastest]).median / 2))

    def _keep(self, number: int, fsync: str, who: Contender, found: dict[str, Any]) -> None:
        run = {"round": number, "contender": who.name, "fsync": fsync, **found}
        self.runs.append(run)
        self._tell(run)

    def _compare_entries(self, running: Session) -> None:
        """The first one's entries are the measure of all others'."""
        entries = store.sample(running.store)
        if self._first_entries:
            store.check_same(self._first_entries, entries)
        else:
            self._first_entries = entries
