"""Whether a message could be kept now, asked of the queue no more than once a second."""

import threading
from collections.abc import Callable

from listener.errors import QueueUnavailableError
from listener.queue.queue import MessageQueue, StoredIn

FRESH_S = 1.0


class Readiness:
    """Remembers the queue's last word for a second: strangers may ask as often as they like."""

    def __init__(self, queue: MessageQueue, clock: Callable[[], float]) -> None:
        """Takes the queue and a monotonic clock in seconds."""
        self._queue = queue
        self._clock = clock
        self._lock = threading.Lock()
        self._asked = -float("inf")
        self._found: StoredIn | QueueUnavailableError = QueueUnavailableError("not asked yet")

    def check(self) -> StoredIn:
        """Where a message would be kept.

        Raises:
            QueueUnavailableError: nowhere.
        """
        with self._lock:
            if self._clock() - self._asked >= FRESH_S:
                self._found = self._ask()
                self._asked = self._clock()
            found = self._found
        if isinstance(found, QueueUnavailableError):
            raise QueueUnavailableError(found.detail)
        return found

    def _ask(self) -> StoredIn | QueueUnavailableError:
        try:
            return self._queue.check()
        except QueueUnavailableError as problem:
            return problem
