"""What was sent, what was answered, what was found, and what follows from the three. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Content = Mapping[str, Any]


@dataclass(frozen=True)
class Attempt:
    """One request: when it began, in monotonic seconds, how long it took, and its answer.

    `status` is None where none came: the connection was refused, broke, or nothing came in time.
    `is_late`: it is a duplicate, seconds after the message was acknowledged.
    """

    started: float
    took_s: float
    status: int | None
    is_late: bool = False

    @property
    def acknowledged(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def refused(self) -> bool:
        return self.status is not None and not self.acknowledged


@dataclass
class Sent:
    """A message as it should arrive (so without credentials), and every attempt to deliver it."""

    content: Content
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def acknowledged(self) -> bool:
        return any(attempt.acknowledged for attempt in self.attempts)


class Ledger:
    """Everything that was sent, by the mark that makes each message one of its own."""

    def __init__(self) -> None:
        self.messages: dict[str, Sent] = {}

    def send(self, mark: str, content: Content) -> Sent:
        """Notes a message before its first attempt; the attempts are then added to what returns."""
        assert mark not in self.messages
        return self.messages.setdefault(mark, Sent(content))

    @property
    def acknowledged(self) -> set[str]:
        """The marks of all messages that must be found."""
        return {mark for mark, sent in self.messages.items() if sent.acknowledged}

    @property
    def attempts(self) -> list[Attempt]:
        return [attempt for sent in self.messages.values() for attempt in sent.attempts]


@dataclass(frozen=True)
class Account:
    """The figures of a number of messages.

    `refused`, `unanswered` and `late` count attempts, the others messages. `late` are duplicates of
    messages that had been acknowledged before, and were acknowledged again. `lost` are those that were
    acknowledged and are not there, or not as they were sent; `doubled` are those that are there
    more than once, acknowledged or not.
    """

    sent: int = 0
    acknowledged: int = 0
    refused: int = 0
    unanswered: int = 0
    lost: int = 0
    doubled: int = 0
    late: int = 0
    slowest_s: float = 0.0

    def __add__(self, other: "Account") -> "Account":
        return Account(
            self.sent + other.sent,
            self.acknowledged + other.acknowledged,
            self.refused + other.refused,
            self.unanswered + other.unanswered,
            self.lost + other.lost,
            self.doubled + other.doubled,
            self.late + other.late,
            max(self.slowest_s, other.slowest_s),
        )


def settle(ledger: Ledger, found: Mapping[str, Sequence[Content]]) -> Account:
    """Compares what was sent with what was found: for each mark, every entry that bears it."""
    attempts = ledger.attempts
    return Account(
        sent=len(ledger.messages),
        acknowledged=len(ledger.acknowledged),
        refused=sum(attempt.refused for attempt in attempts),
        unanswered=sum(attempt.status is None for attempt in attempts),
        lost=sum(
            ledger.messages[mark].content not in found.get(mark, ()) for mark in ledger.acknowledged
        ),
        doubled=sum(len(found.get(mark, ())) > 1 for mark in ledger.messages),
        late=sum(attempt.is_late and attempt.acknowledged for attempt in attempts),
        slowest_s=max((attempt.took_s for attempt in attempts), default=0.0),
    )


def p99_s(attempts: Iterable[Attempt], since: float, until: float) -> float | None:
    """What 99 of 100 attempts that began in a span of time took at most; None if none began."""
    took = sorted(attempt.took_s for attempt in attempts if since <= attempt.started < until)
    return took[(len(took) * 99 - 1) // 100] if took else None
