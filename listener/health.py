"""Whether a message could be kept now, asked of the queue no more than once a second."""

import threading
from collections.abc import Callable

from listener.errors import QueueUnavailableError
from listener.queue.writer import Queue

FRESH_S = 1.0


class Readiness:
    """Remembers the queue's last word for a second: strangers may ask as often as they like."""

    def __init__(self, queue: Queue, clock: Callable[[], float]) -> None:
        """Takes the queue and a monotonic clock in seconds."""
        self._queue = queue
        self._clock = clock
        self._lock = threading.Lock()
        self._asked = -float("inf")
        self._problem: QueueUnavailableError | None = None

    def check(self) -> None:
        """Returns if a message could be kept.

        Raises:
            QueueUnavailableError: it could not.
        """
        with self._lock:
            if self._clock() - self._asked >= FRESH_S:
                self._problem = self._ask()
                self._asked = self._clock()
        if self._problem:
            raise QueueUnavailableError(self._problem.detail)

    def _ask(self) -> QueueUnavailableError | None:
        try:
            self._queue.check()
        except QueueUnavailableError as problem:
            return problem
        return None
