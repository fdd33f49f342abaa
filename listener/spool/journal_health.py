"""Whether the journal can be used: remembers this process's latest attempts, and logs when that changes."""

import time

import structlog

from listener.errors import QueueUnavailableError

log = structlog.get_logger("listener.spool")

# A message that was written within this time shows that others can be written.
FRESH_S = 1.0
# How long a journal that failed is not tried again, unless a message needs it.
RETRY_S = 2.0
STEADY_S = 10.0


class JournalHealth:
    """Whether this process's latest messages could be journalled; logs when that changes.

    A disk that fails every other message is logged once in `STEADY_S`.
    """

    def __init__(self) -> None:
        self._is_down = self._is_logged = False
        self._failed = self._succeeded = self._logged = self._retried = -float("inf")
        self._unreadable, self._unreadable_until = "", -float("inf")

    def failed(self, detail: str) -> None:
        self._is_down, self._failed = True, time.monotonic()
        if not self._is_logged and self._failed - self._logged > STEADY_S:
            self._is_logged, self._logged = True, self._failed
            log.error("spool unavailable", detail=detail)

    def succeeded(self) -> None:
        self._is_down, self._succeeded = False, time.monotonic()
        if self._is_logged:
            self._is_logged = False
            log.info("spool available")

    def is_proven(self) -> bool:
        """Whether a message was journalled within `FRESH_S`, and none failed since."""
        return self._succeeded > max(self._failed, time.monotonic() - FRESH_S)

    def is_to_retry(self) -> bool:
        """Whether the journal failed and was not tried again for `RETRY_S`; true once in that time."""
        if not self._is_down or time.monotonic() - max(self._failed, self._retried) < RETRY_S:
            return False
        self._retried = time.monotonic()
        return True

    def reading_failed(self, detail: str) -> None:
        """A journal that cannot be read is not opened again for `RETRY_S`, except for a message."""
        self._unreadable, self._unreadable_until = detail, time.monotonic() + RETRY_S

    def check_readable(self) -> None:
        """Raises QueueUnavailableError while the journal is not to be opened again for reading."""
        if time.monotonic() < self._unreadable_until:
            raise QueueUnavailableError(self._unreadable)
