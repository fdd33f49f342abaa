"""The options of one handler, which stand in for the consumer's own."""

import math
from dataclasses import dataclass
from typing import TypedDict

from listener.consumer.options import Backoff


class HandlerOptionsDict(TypedDict, total=False):
    """The options as keyword arguments of `Consumer.on`: see `HandlerOptions`."""

    max_deliveries: int
    backoff: Backoff
    timeout_s: float
    recovered: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class HandlerOptions:
    """What one handler does differently from the others of its consumer; None: as the consumer does.

    Args:
        max_deliveries: a message is dead-lettered after this many deliveries to the handler.
        backoff: how long a message waits after a failure.
        timeout_s: how many seconds a delivery may take. An async handler is cancelled then, and has failed.
            A plain one cannot be stopped, because a thread cannot be: `Consumer.overdue` reports it.
            None: no limit.
        recovered: whether the handler is given messages that ThingSpace did not send, but that were made of its
            reports: see `Message.recovered`. False: they are acknowledged without it.

    Raises:
        ValueError: names every option that is out of bounds.
        TypeError: `backoff` is no `Backoff`.
    """

    max_deliveries: int | None = None
    backoff: Backoff | None = None
    timeout_s: float | None = None
    recovered: bool = True

    def __post_init__(self) -> None:
        if self.backoff is not None and not isinstance(self.backoff, Backoff):
            raise TypeError(f"backoff must be a Backoff, not {self.backoff!r}")
        problems = []
        if self.max_deliveries is not None and self.max_deliveries < 1:
            problems.append("max_deliveries must be at least 1")
        if self.timeout_s is not None and not 0 < self.timeout_s < math.inf:
            problems.append("timeout_s must be a number of seconds above 0")
        if problems:
            raise ValueError("; ".join(problems))
