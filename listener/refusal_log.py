"""Counts and logs refused requests: an authenticated sender's nearly all, anybody else's at most one per reason every 10 s."""

import logging
from collections.abc import Callable

import structlog

from listener import metrics
from listener.errors import InternalError, RefusalError

log = structlog.get_logger("listener")

INTERVAL_S = 10.0
# For each reason, in one interval.
MAX_LINES_OF_AUTHENTICATED = 20


class LogRateLimiter:
    """Allows a number of log lines of each kind in an interval, and counts those that it suppressed."""

    def __init__(
        self, clock: Callable[[], float], interval_s: float = INTERVAL_S, max_lines: int = 1
    ) -> None:
        """Takes a monotonic clock in seconds, and how many lines of a kind an interval may have."""
        self._clock = clock
        self._interval_s = interval_s
        self._max_lines = max_lines
        # By kind: when its interval began, and how many lines that interval has had.
        self._intervals: dict[str, tuple[float, int]] = {}
        self._suppressed: dict[str, int] = {}

    def allow(self, kind: str) -> int | None:
        """None if this line is suppressed, else how many lines of its kind were since the last one."""
        now = self._clock()
        began, lines = self._intervals.get(kind, (-float("inf"), 0))
        if now - began >= self._interval_s:
            began, lines = now, 0
        elif lines >= self._max_lines:
            self._suppressed[kind] = self._suppressed.get(kind, 0) + 1
            return None
        self._intervals[kind] = began, lines + 1
        return self._suppressed.pop(kind, 0)


class RefusalLog:
    """Writes the log lines of refusals; each process has its own.

    Anybody can be refused as often as it likes, so the refusals of unauthenticated senders share one line
    for each reason in `INTERVAL_S`, which has the number of those without a line. An authenticated sender's
    have `MAX_LINES_OF_AUTHENTICATED` in that time. Each authentic message that was not kept (503) has a
    line, and so has each error of our own code. At the level debug every refusal has one.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """Takes a monotonic clock in seconds."""
        self._limiter = LogRateLimiter(clock)
        self._limiter_of_authenticated = LogRateLimiter(clock, max_lines=MAX_LINES_OF_AUTHENTICATED)

    def count_and_log(
        self, refusal: RefusalError, event: str, *, authenticated: bool, **fields: object
    ) -> None:
        """Counts one refusal in the metrics, and logs it as `log` does."""
        metrics.count(metrics.REFUSALS, refusal.reason)
        self.log(refusal, event, authenticated=authenticated, **fields)

    def log(
        self, refusal: RefusalError, event: str, *, authenticated: bool, **fields: object
    ) -> None:
        """Logs one refusal, unless there were too many of its reason.

        Args:
            refusal: with the reason and the detail.
            event: what happened.
            authenticated: whether the sender had proved by then that it may send.
            fields: further fields of the line; nothing that a stranger wrote.
        """
        level = logging.ERROR if refusal.status >= 500 else logging.WARNING
        fields = {"reason": refusal.reason, "detail": refusal.detail, **fields}
        if level == logging.ERROR and (authenticated or isinstance(refusal, InternalError)):
            log.log(level, event, **fields)
            return
        limiter = self._limiter_of_authenticated if authenticated else self._limiter
        # The event belongs to the kind: refusals for the same reason at different places must not
        # suppress each other.
        suppressed = limiter.allow(f"{event}: {refusal.reason}")
        if suppressed is None:
            log.debug(event, **fields)
        else:
            if suppressed or not authenticated:
                fields["suppressed"] = suppressed
            log.log(level, event, **fields)
