"""Compares what was sent and answered with what is stored: lost, doubled, refused messages. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.report.stats import percentile

Content = Mapping[str, Any]


@dataclass(frozen=True)
class Attempt:
    """One request and its response.

    Attributes:
        started: in monotonic seconds.
        took_s: until the response or the failure.
        status: None without a response: connection refused, reset or timed out.
        is_late: a duplicate, sent seconds after the message was acknowledged.
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
class SentMessage:
    """A message as it should be stored, so without credentials, and every attempt to deliver it."""

    content: Content
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def acknowledged(self) -> bool:
        return any(attempt.acknowledged for attempt in self.attempts)


class Ledger:
    """Every message that was sent, by its mark, a member whose value is unique."""

    def __init__(self) -> None:
        self.messages: dict[str, SentMessage] = {}

    def send(self, mark: str, content: Content) -> SentMessage:
        """Adds a message before its first attempt; the caller appends the attempts to the result."""
        assert mark not in self.messages
        return self.messages.setdefault(mark, SentMessage(content))

    @property
    def acknowledged(self) -> set[str]:
        """The marks of all messages that must be stored."""
        return {mark for mark, message in self.messages.items() if message.acknowledged}

    @property
    def attempts(self) -> list[Attempt]:
        return [attempt for message in self.messages.values() for attempt in message.attempts]


@dataclass(frozen=True)
class Totals:
    """What became of a number of messages.

    Attributes:
        sent: messages.
        acknowledged: messages.
        refused: attempts with a response other than 2xx.
        unanswered: attempts without a response.
        lost: messages that were acknowledged and are not stored, or not as they were sent.
        doubled: messages that are stored more than once, acknowledged or not.
        late: duplicates of acknowledged messages that were acknowledged again.
        slowest_s: the slowest attempt.
    """

    sent: int = 0
    acknowledged: int = 0
    refused: int = 0
    unanswered: int = 0
    lost: int = 0
    doubled: int = 0
    late: int = 0
    slowest_s: float = 0.0

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(
            self.sent + other.sent,
            self.acknowledged + other.acknowledged,
            self.refused + other.refused,
            self.unanswered + other.unanswered,
            self.lost + other.lost,
            self.doubled + other.doubled,
            self.late + other.late,
            max(self.slowest_s, other.slowest_s),
        )


def reconcile(ledger: Ledger, stored: Mapping[str, Sequence[Content]]) -> Totals:
    """Compares what was sent with every stored entry, by mark."""
    attempts = ledger.attempts
    return Totals(
        sent=len(ledger.messages),
        acknowledged=len(ledger.acknowledged),
        refused=sum(attempt.refused for attempt in attempts),
        unanswered=sum(attempt.status is None for attempt in attempts),
        lost=sum(
            ledger.messages[mark].content not in stored.get(mark, ())
            for mark in ledger.acknowledged
        ),
        doubled=sum(len(stored.get(mark, ())) > 1 for mark in ledger.messages),
        late=sum(attempt.is_late and attempt.acknowledged for attempt in attempts),
        slowest_s=max((attempt.took_s for attempt in attempts), default=0.0),
    )


def p99_s(attempts: Iterable[Attempt], since: float, until: float) -> float | None:
    """The 99th percentile of the attempts that started in a time span; None if none did."""
    took = [attempt.took_s for attempt in attempts if since <= attempt.started < until]
    return percentile(took, 99) if took else None
