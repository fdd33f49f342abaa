"""The whole run: the figure of every target, measured part by part."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from bench import compare, growth, memory, worker_memory
from bench.report import growth_tables, stats, tables
from bench.report.stats import Run, Target
from bench.rig.contender import Contender

PARTS = ("throughput", "latency", "memory", "queue", "spool", "worker")
CONNECTIONS = (16, 64)
# The latency of the others has no target, and Flask's takes long.
LATENCY_CONTENDERS = ("ours", "fastapi")
# Fewer requests show too little of the slowest hundredth.
MIN_LATENCY_SECONDS = 5

Result = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """What is measured.

    Attributes:
        rounds: of throughput, of the full queue and of the spool.
        seconds: of each measurement.
        entries: in the full queue.
        groups: of its consumer groups.
        messages: during which a worker's memory is measured.
    """

    rounds: int
    seconds: int
    entries: int
    groups: int
    messages: int

    def as_dict(self) -> dict[str, int]:
        """As a result has them."""
        return asdict(self)


class WholeRun:
    """Measures the parts, and writes figures and targets into a result as they come.

    What the result has already is not measured again, so that a run that was interrupted can go on.

    Args:
        options: the options.
        contenders: the service, and those that it is compared with.
        result: see `empty_result`.
        save: is called after each measurement.
        report: prints a line of progress.
    """

    def __init__(
        self,
        options: Options,
        contenders: tuple[Contender, ...],
        result: Result,
        save: Callable[[], None],
        report: Callable[[str], None],
    ) -> None:
        self._options = options
        self._contenders = contenders
        self._result = result
        self._save = save
        self._report = report
        self._growth = growth.Growth(
            growth.Options(options.seconds, options.rounds, options.entries, options.groups),
            self._note,
            result["growth"],
        )

    def run(self, part: str) -> None:
        """Measures one of `PARTS`.

        Raises:
            BenchError: a contender did not start, or did not do the work.
        """
        self._report(f"bench: {part}")
        if part == "throughput":
            self._comparison(self._contenders).run_closed_loops()
        elif part == "latency":
            both = (each for each in self._contenders if each.name in LATENCY_CONTENDERS)
            self._comparison(tuple(both)).run_open_loops()
        elif part == "memory":
            self._measure_memory()
        elif part == "worker":
            self._measure_worker()
        else:
            self._growth.run(part)
        self._keep()

    def _comparison(self, contenders: tuple[Contender, ...]) -> compare.Comparison:
        plan = compare.Plan(
            contenders=contenders,
            rounds=self._options.rounds,
            seconds=self._options.seconds,
            connections=CONNECTIONS,
            fsyncs=stats.FSYNCS,
            open_rounds=compare.MIN_OPEN_ROUNDS,
            open_seconds=max(self._options.seconds, MIN_LATENCY_SECONDS),
            log_level="info",
        )
        return compare.Comparison(plan, self._note_run, self._result["comparison"])

    def _measure_memory(self) -> None:
        if not self._result["memory"]:
            self._result["memory"] = memory.run(memory.COUNTS, self._report)

    def _measure_worker(self) -> None:
        if not self._result["worker"]:
            self._result["worker"] = worker_memory.measure(self._options.messages, self._report)

    def _note_run(self, run: Run) -> None:
        self._note(tables.progress_line(run))

    def _note(self, line: str) -> None:
        self._report(line)
        self._keep()

    def _keep(self) -> None:
        self._result["targets"] = [target.as_dict() for target in targets(self._result)]
        self._save()


def empty_result() -> Result:
    """A result without a measurement; schema.json describes it."""
    return {"comparison": [], "growth": [], "memory": [], "worker": [], "targets": []}


def targets(result: Result) -> list[Target]:
    """The targets, as far as they were measured."""
    return [
        *stats.targets(result["comparison"]),
        *map(_memory_target, result["memory"]),
        *growth_tables.targets(result["growth"], result["worker"]),
    ]


def _memory_target(figure: dict[str, float]) -> Target:
    what = f"bytes of Redis for each of {figure['messages']:,} messages upgrade-finished"
    return Target(what, figure["bytes"], memory.MAX_BYTES, at_most=True)
