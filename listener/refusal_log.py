"""Counts refusals, and tells of them: of each of a proven sender, of strangers' now and then."""

import logging
from collections.abc import Callable

import structlog

from listener import metrics
from listener.errors import RefusalError

log = structlog.get_logger("listener")

INTERVAL_S = 10.0
# Of a proven sender's, in an interval, for each reason.
TOLD_OF_PROVEN = 20


class Throttle:
    """Lets the first occasions of each kind pass in an interval, and counts the others."""

    def __init__(
        self, clock: Callable[[], float], interval_s: float = INTERVAL_S, most: int = 1
    ) -> None:
        """Takes a monotonic clock in seconds, and how many pass in an interval."""
        self._clock = clock
        self._interval_s = interval_s
        self._most = most
        # When the interval of a kind began, and how many have passed in it.
        self._passed: dict[str, tuple[float, int]] = {}
        self._held_back: dict[str, int] = {}

    def passes(self, kind: str) -> int | None:
        """None if this one is held back, else how many of its kind were since the last that passed."""
        now = self._clock()
        since, passed = self._passed.get(kind, (-float("inf"), 0))
        if now - since >= self._interval_s:
            since, passed = now, 0
        elif passed >= self._most:
            self._held_back[kind] = self._held_back.get(kind, 0) + 1
            return None
        self._passed[kind] = since, passed + 1
        return self._held_back.pop(kind, 0)


class RefusalLog:
    """Writes the log lines of refusals; each process has its own.

    Anybody can be refused as often as it likes, so a stranger's refusal costs little: one line for
    each reason in `INTERVAL_S`, which tells how many went before it without one. Of a proven sender
    `TOLD_OF_PROVEN` are logged in that time; so is each message that was not kept (503). At the level
    debug every one is told.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """Takes a monotonic clock in seconds."""
        self._throttle = Throttle(clock)
        self._throttle_of_proven = Throttle(clock, most=TOLD_OF_PROVEN)

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
        if refusal.proven and level == logging.ERROR:
            log.log(level, event, **details)
            return
        throttle = self._throttle_of_proven if refusal.proven else self._throttle
        # Of what is refused for the same reason at different places none may hide the others.
        untold = throttle.passes(f"{event}: {refusal.reason}")
        if untold is None:
            log.debug(event, **details)
        else:
            told = {} if refusal.proven and not untold else {"untold": untold}
            log.log(level, event, **details, **told)
