"""The table, the same as JSON, and the verdict."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from bench.chaos.fault import Fault
from bench.chaos.ledger import Account
from bench.chaos.runner import KEPT_WITHIN_S, Result

# The provider tries for about two seconds.
SLOWEST_S = 2.0


@dataclass(frozen=True)
class Line:
    """What all rounds of one fault came to."""

    fault: Fault
    results: Sequence[Result]

    @property
    def account(self) -> Account:
        return sum((result.account for result in self.results), Account())

    @property
    def kept_s(self) -> float | None:
        """The longest it took; None if it once took too long."""
        times = [result.kept_s for result in self.results]
        return None if None in times else max(time for time in times if time is not None)

    @property
    def p99_s(self) -> float | None:
        return max((result.p99_s for result in self.results if result.p99_s), default=None)

    @property
    def set_aside(self) -> int:
        return sum(result.set_aside for result in self.results)

    @property
    def reported(self) -> tuple[int, int]:
        """In how many rounds its alarm was seen, and in how many it could have been."""
        seen = [result.reported for result in self.results if result.reported is not None]
        return sum(seen), len(seen)

    @property
    def problems(self) -> list[str]:
        """What should not have happened."""
        account, limit = self.account, self.fault.p99_s
        checks = {
            "nothing was acknowledged": account.acknowledged == 0,
            "no late duplicate was acknowledged": account.late == 0,
            f"{account.lost} acknowledged messages lost": account.lost > 0,
            f"{account.doubled} messages doubled": account.doubled > 0,
            f"an answer took {account.slowest_s:.2f} s": account.slowest_s >= SLOWEST_S,
            f"{account.refused} refused": account.refused > 0 and not self.fault.may_refuse,
            f"{account.unanswered} unanswered": account.unanswered > 0 and not self.fault.may_break,
            f"not all in Redis within {KEPT_WITHIN_S:.0f} s": self.kept_s is None,
            f"{self.set_aside} set aside": self.set_aside > 0 and not self.fault.may_set_aside,
            f"reported in {self.reported[0]} of {self.reported[1]} rounds": (
                self.reported[0] < self.reported[1]
            ),
            f"p99 {_ms(self.p99_s)} once noticed": bool(limit and (self.p99_s or 0) >= limit),
        }
        return [problem for problem, holds in checks.items() if holds]


def lines(results: Iterable[Result]) -> list[Line]:
    """One for each fault, in the order in which they first came."""
    by_fault: dict[str, list[Result]] = {}
    for result in results:
        by_fault.setdefault(result.fault.name, []).append(result)
    return [Line(found[0].fault, found) for found in by_fault.values()]


def passed(found: Sequence[Line]) -> bool:
    """Whether nothing happened that should not have."""
    return not any(line.problems for line in found)


def table(found: Sequence[Line]) -> Table:
    """For a terminal."""
    made = Table(caption=CAPTION, caption_justify="left")
    made.add_column("\nfault", no_wrap=True)
    for heading in HEADINGS:
        made.add_column(heading, justify="right", no_wrap=True)
    for line in found:
        made.add_row(line.fault.name, *_cells(line), style="red" if line.problems else None)
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
    "refused: answers other than 2xx. no answer: connections refused or broken. p99: of the attempts "
    "that began 2 s or more after the fault and before its end. kept within: from the fault's end "
    "until all that was acknowledged was in Redis and the spool was empty; late duplicates may come seven "
    "seconds after it. late dupl.: acknowledged again, up to near the end of the window of 8 s. reported: rounds "
    "in which /readyz or check showed the fault while it lasted, of those in which it lasted long enough."
)


def _cells(line: Line) -> list[str]:
    account = line.account
    counts = (
        len(line.results),
        account.sent,
        account.acknowledged,
        account.refused,
        account.unanswered,
        account.lost,
        account.doubled,
        account.late,
    )
    kept = "too late" if line.kept_s is None else f"{line.kept_s:.1f} s"
    seen, possible = line.reported
    reported = f"{seen}/{possible}" if possible else ""
    return [*map(str, counts), _ms(account.slowest_s), _ms(line.p99_s), kept, reported]


def as_json(found: Sequence[Line], **about: Any) -> dict[str, Any]:
    """The same, for programs; times in seconds.

    Args:
        found: the lines.
        about: the run: seed, rate, ….
    """
    faults = [
        {
            "fault": line.fault.name,
            "rounds": len(line.results),
            **asdict(line.account),
            "p99_s": line.p99_s,
            "kept_s": line.kept_s,
            "set_aside": line.set_aside,
            "reported": line.reported,
            "problems": line.problems,
        }
        for line in found
    ]
    return {**about, "passed": passed(found), "faults": faults}


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.0f} ms"
