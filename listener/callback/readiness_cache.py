"""Whether a message could be kept now, asked of the queue no more than once a second."""

import threading
from collections.abc import Callable

from listener.errors import QueueUnavailableError
from listener.queue.queue import MessageQueue, StoredIn

CACHE_S = 1.0


class Readiness:
    """Caches the queue's answer for a second: strangers may ask as often as they like."""

    def __init__(self, queue: MessageQueue, clock: Callable[[], float]) -> None:
        """Takes the queue and a monotonic clock in seconds."""
        self._queue = queue
        self._clock = clock
        self._lock = threading.Lock()
        self._asked_at = -float("inf")
        self._answer: StoredIn | QueueUnavailableError = QueueUnavailableError("not asked yet")

    def check(self) -> StoredIn:
        """Where a message would be kept now, at most a second ago.

        Raises:
            QueueUnavailableError: neither Redis nor the spool could keep one.
        """
        with self._lock:
            if self._clock() - self._asked_at >= CACHE_S:
                self._answer = self._ask()
                self._asked_at = self._clock()
            answer = self._answer
        if isinstance(answer, QueueUnavailableError):
            # A new one: an exception that is raised again collects tracebacks.
            raise QueueUnavailableError(answer.detail)
        return answer

    def _ask(self) -> StoredIn | QueueUnavailableError:
        try:
            return self._queue.check()
        except QueueUnavailableError as problem:
            return problem
