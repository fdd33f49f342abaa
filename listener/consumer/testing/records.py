"""What a run in memory keeps for assertions: each handling of a message, and each dead letter."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from listener.messages.kinds import Message

Outcome = Literal["handled", "retried", "dead", "unhandled"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Handling:
    """One delivery of a message, and what became of it.

    Args:
        message: as the handler got it; `message.deliveries` is the number of the delivery.
        at: when, by the run's clock.
        outcome: `handled`: its handler returned; `retried`: it will be handled again; `dead`: it was
            dead-lettered; `unhandled`: no handler is given it, and it was acknowledged.
        error: what the handler raised; None if it returned, or there is none.
        retry_in_s: in how many seconds it will be handled again; None: it will not.
    """

    message: Message
    at: datetime
    outcome: Outcome
    error: BaseException | None = None
    retry_in_s: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """A message that was given up, with the fields that its entry in the dead stream would have in addition.

    Args:
        message: as its last handler got it.
        reason: `handler-failed`, `timed-out` or `rejected`.
        error: type and text of the exception, in one line.
        traceback: its end.
        deliveries: how often it was delivered.
    """

    message: Message
    reason: str
    error: str
    traceback: str
    deliveries: int
