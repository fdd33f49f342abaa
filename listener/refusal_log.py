"""Counts and logs refused requests: an authenticated sender's nearly all, anybody else's at most one per reason every 10 s."""

from collections.abc import Callable

import structlog

from listener import metrics
from listener.errors import RefusalError

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
    """Writes the log lines of refusals, for one `ProblemResponder`.

    Anybody can be refused as often as it likes, so the refusals of unauthenticated senders share one line
    for each reason in `INTERVAL_S`, which has the number of those without a line. An authenticated sender's
    have `MAX_LINES_OF_AUTHENTICATED` in that time. Each message that was not kept (503) has a line. At the
    level debug every refusal has one.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """Takes a monotonic clock in seconds."""
        self._limiter = LogRateLimiter(clock)
        self._limiter_of_authenticated = LogRateLimiter(clock, max_lines=MAX_LINES_OF_AUTHENTICATED)

    def count_and_log(
        self, refusal: RefusalError, *, authenticated: bool, **fields: object
    ) -> None:
        """Counts one refused request, and logs it unless there were too many of its reason.

        Args:
            refusal: with the reason and the detail.
            authenticated: whether the sender had proved by then that it may send.
            fields: further fields of the line; nothing that a stranger wrote.
        """
        metrics.count(metrics.REFUSALS, refusal.reason)
        fields = {"reason": refusal.reason, "detail": refusal.detail, **fields}
        if refusal.status >= 500:
            log.error("message not kept", **fields)
            return
        limiter = self._limiter_of_authenticated if authenticated else self._limiter
        suppressed = limiter.allow(refusal.reason)
        if suppressed is None:
            log.debug("request refused", **fields)
            return
        if suppressed or not authenticated:
            fields["suppressed"] = suppressed
        log.warning("request refused", **fields)

    def log_not_ready(self, refusal: RefusalError, **fields: object) -> None:
        """Logs a readiness check that failed, at most once in `INTERVAL_S`: anybody may ask."""
        suppressed = self._limiter.allow("not ready")
        if suppressed is not None:
            fields = {"reason": refusal.reason, "detail": refusal.detail, **fields}
            log.error("not ready", **fields, suppressed=suppressed)
