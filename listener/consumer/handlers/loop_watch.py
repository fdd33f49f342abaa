"""Notices that a handler blocks the event loop, and logs where: every other async handler waits for it."""

import time
from collections.abc import Callable

from listener.consumer.handlers.event_loop import EventLoop
from listener.safe_logger import SafeLogger

log = SafeLogger("listener.consumer")

# As long as the loop may take to answer. A handler that computes for a moment is no fault.
BLOCKED_S = 5.0


class LoopWatch:
    """Asks the loop for a sign of life again and again. One thread uses it."""

    def __init__(self, event_loop: EventLoop, clock: Callable[[], float] = time.monotonic) -> None:
        """The clock is monotonic, in seconds."""
        self._event_loop = event_loop
        self._clock = clock
        self._asked_at: float | None = None
        self._has_answered = False
        self._is_reported = False

    def check(self) -> None:
        """Logs once that the loop has not answered for `BLOCKED_S`, and once that it does again."""
        now = self._clock()
        if self._asked_at is not None and not self._has_answered:
            if now - self._asked_at >= BLOCKED_S and not self._is_reported:
                self._is_reported = True
                log.error("event loop blocked by a handler", at=self._event_loop.position())
            return
        if self._is_reported and self._asked_at is not None:
            log.warning("event loop goes on", after_s=round(now - self._asked_at, 1))
        self._is_reported = self._has_answered = False
        self._asked_at = now if self._event_loop.call(self._answer) else None

    def _answer(self) -> None:
        self._has_answered = True
