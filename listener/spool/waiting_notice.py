"""WaitingNotice: says to other hosts, in Redis, whether messages wait in this host's spool."""

import time
from collections.abc import Callable

import structlog

from listener.errors import QueueUnavailableError

log = structlog.get_logger("listener.spool")

# The seconds between two notices while messages wait, and before a failed one is tried again.
REPEAT_S = 60.0


class WaitingNotice:
    """What the process that drains the spool has said. Used by one thread.

    Not guaranteed: that it is said at once. It cannot be while Redis is away.
    """

    def __init__(
        self,
        is_waiting: Callable[[], bool],
        say: Callable[[bool], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Says nothing yet.

        Args:
            is_waiting: whether messages wait.
            say: writes it to Redis, or raises QueueUnavailableError.
            clock: monotonic seconds.
        """
        self._is_waiting = is_waiting
        self._say = say
        self._clock = clock
        # None: another process may have said that messages wait.
        self._said: bool | None = None
        self._repeat_at = -float("inf")

    @property
    def says_waiting(self) -> bool:
        """Whether the last that was said is that messages wait."""
        return self._said is True

    def update(self) -> None:
        """Says how it is, if that is news, or was said some time ago.

        Raises:
            QueueUnavailableError: the spool cannot be read.
        """
        is_waiting = self._is_waiting()
        is_news = is_waiting is not self._said
        is_due = self._clock() >= self._repeat_at
        if (is_news and self._said is not None) or (is_due and (is_news or is_waiting)):
            self._repeat_at = self._clock() + REPEAT_S
            self._said = self._try_to_say(is_waiting=is_waiting)

    def _try_to_say(self, *, is_waiting: bool) -> bool | None:
        try:
            self._say(is_waiting)
        except QueueUnavailableError as problem:
            log.warning("waiting messages not announced", detail=problem.detail)
            return None
        return is_waiting
