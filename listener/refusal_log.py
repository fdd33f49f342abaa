"""Counts refusals, and tells of them: of each of a proven sender, of strangers' now and then."""

import logging
from collections.abc import Callable

import structlog

from listener import metrics
from listener.errors import RefusalError

log = structlog.get_logger("listener")

INTERVAL_S = 10.0


class Throttle:
    """Lets one occasion of each kind pass in an interval, and counts the others."""

    def __init__(self, clock: Callable[[], float], interval_s: float = INTERVAL_S) -> None:
        """Takes a monotonic clock in seconds."""
        self._clock = clock
        self._interval_s = interval_s
        self._passed: dict[str, float] = {}
        self._held_back: dict[str, int] = {}

    def passes(self, kind: str) -> int | None:
        """None if this one is held back, else how many of its kind were since the last that passed."""
        now = self._clock()
        if now - self._passed.get(kind, -float("inf")) < self._interval_s:
            self._held_back[kind] = self._held_back.get(kind, 0) + 1
            return None
        self._passed[kind] = now
        return self._held_back.pop(kind, 0)


class RefusalLog:
    """Writes the log lines of refusals; each process has its own.

    Anybody can be refused as often as it likes, so a stranger's refusal costs little: one line for
    each reason in `INTERVAL_S`, which tells how many went before it without one. At the level debug
    every one is told.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """Takes a monotonic clock in seconds."""
        self._throttle = Throttle(clock)

    def note(self, refusal: RefusalError, event: str = "request refused", **more: object) -> None:
        """Counts one refusal, and tells of it as `tell` does."""
        metrics.count(metrics.REFUSALS, refusal.reason)
        self.tell(refusal, event, **more)

    def tell(self, refusal: RefusalError, event: str, **more: object) -> None:
        """Tells of one refusal.

        Args:
            refusal: with the reason, and whether the sender is proven.
            event: what happened.
            more: what the line shall say besides; nothing that a stranger wrote.
        """
        level = logging.ERROR if refusal.answer.status >= 500 else logging.WARNING
        details = {"reason": refusal.reason, "detail": refusal.detail, **more}
        if refusal.proven:
            log.log(level, event, **details)
            return
        # Of what is refused for the same reason at different places none may hide the others.
        untold = self._throttle.passes(f"{event}: {refusal.reason}")
        if untold is None:
            log.debug(event, **details)
        else:
            log.log(level, event, **details, untold=untold)
