"""The report of a run: a table, the same as JSON, and whether the run passed. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from bench.chaos.fault import Fault
from bench.chaos.ledger import Totals
from bench.chaos.runner import STORED_WITHIN_S, RoundResult

# The provider tries for about two seconds.
MAX_ANSWER_S = 2.0


@dataclass(frozen=True)
class FaultResult:
    """All rounds of one fault."""

    fault: Fault
    rounds: Sequence[RoundResult]

    @property
    def totals(self) -> Totals:
        return sum((result.totals for result in self.rounds), Totals())

    @property
    def kept_s(self) -> float | None:
        """The longest of all rounds; None if one was too late."""
        times = [result.kept_s for result in self.rounds]
        return None if None in times else max(time for time in times if time is not None)

    @property
    def p99_s(self) -> float | None:
        return max((result.p99_s for result in self.rounds if result.p99_s), default=None)

    @property
    def set_aside(self) -> int:
        return sum(result.set_aside for result in self.rounds)

    @property
    def reported(self) -> tuple[int, int]:
        """The number of rounds whose alarm matched, and of those in which it had to."""
        reported = [each.reported for each in self.rounds if each.reported is not None]
        return sum(reported), len(reported)

    @property
    def problems(self) -> list[str]:
        """Why the fault fails the run."""
        totals, limit = self.totals, self.fault.p99_s
        checks = {
            "nothing was acknowledged": totals.acknowledged == 0,
            "no late duplicate was acknowledged": totals.late == 0,
            f"{totals.lost} acknowledged messages lost": totals.lost > 0,
            f"{totals.doubled} messages doubled": totals.doubled > 0,
            f"an answer took {totals.slowest_s:.2f} s": totals.slowest_s >= MAX_ANSWER_S,
            f"{totals.refused} refused": totals.refused > 0 and not self.fault.may_refuse,
            f"{totals.unanswered} unanswered": totals.unanswered > 0 and not self.fault.may_break,
            f"not all in Redis within {STORED_WITHIN_S:.0f} s": self.kept_s is None,
            f"{self.set_aside} set aside": self.set_aside > 0 and not self.fault.may_set_aside,
            f"reported in {self.reported[0]} of {self.reported[1]} rounds": (
                self.reported[0] < self.reported[1]
            ),
            f"p99 {_ms(self.p99_s)} once noticed": bool(limit and (self.p99_s or 0) >= limit),
        }
        return [problem for problem, holds in checks.items() if holds]


def by_fault(results: Iterable[RoundResult]) -> list[FaultResult]:
    """Groups the rounds by fault, in the order in which the faults first occurred."""
    groups: dict[str, list[RoundResult]] = {}
    for result in results:
        groups.setdefault(result.fault.name, []).append(result)
    return [FaultResult(rounds[0].fault, rounds) for rounds in groups.values()]


def passed(results: Sequence[FaultResult]) -> bool:
    """Whether no fault has a problem."""
    return not any(result.problems for result in results)


def table(results: Sequence[FaultResult]) -> Table:
    """For a terminal."""
    made = Table(caption=CAPTION, caption_justify="left")
    made.add_column("\nfault", no_wrap=True)
    for heading in HEADINGS:
        made.add_column(heading, justify="right", no_wrap=True)
    for result in results:
        style = "red" if result.problems else None
        made.add_row(result.fault.name, *_cells(result), style=style)
    return made


HEADINGS = (
    "rounds",
    "sent",
    "acknow-\nledged",
    "refused",
    "no\nanswer",
    "lost",
    "doubled",
    "late\ndupl.",
    "slowest\nanswer",
    "p99 once\nnoticed",
    "kept\nwithin",
    "re-\nported",
)
CAPTION = (
    "refused: answers other than 2xx. no answer: connections refused or reset. p99: of the attempts "
    "that began 2 s or more after the fault's start and before its end. kept within: from the fault's "
    "end until every acknowledged message was in Redis and the spool was empty; late duplicates may be "
    "sent until seven seconds after it. late dupl.: acknowledged again, up to near the end of the window "
    "of 8 s. reported: rounds in which /readyz or check showed the fault while it lasted, of those in "
    "which it lasted long enough."
)


def _cells(result: FaultResult) -> list[str]:
    totals = result.totals
    counts = (
        len(result.rounds),
        totals.sent,
        totals.acknowledged,
        totals.refused,
        totals.unanswered,
        totals.lost,
        totals.doubled,
        totals.late,
    )
    kept = "too late" if result.kept_s is None else f"{result.kept_s:.1f} s"
    matched, possible = result.reported
    reported = f"{matched}/{possible}" if possible else ""
    return [*map(str, counts), _ms(totals.slowest_s), _ms(result.p99_s), kept, reported]


def as_json(results: Sequence[FaultResult], **run: Any) -> dict[str, Any]:
    """The report for programs; times in seconds.

    Args:
        results: of all faults.
        run: facts of the run, such as its seed and rate.
    """
    faults = [
        {
            "fault": result.fault.name,
            "rounds": len(result.rounds),
            **asdict(result.totals),
            "p99_s": result.p99_s,
            "kept_s": result.kept_s,
            "set_aside": result.set_aside,
            "reported": result.reported,
            "problems": result.problems,
        }
        for result in results
    ]
    return {**run, "passed": passed(results), "faults": faults}


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.0f} ms"
