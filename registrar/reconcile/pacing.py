"""How long the reconcile loop waits until its next tick."""

import random
from collections.abc import Sequence

from registrar.errors import NotExclusiveError, RegistrarError, StopError, UnavailableError
from registrar.settings import RegistrarSettings

# How soon the breaker is asked again: that costs no login, and after `unlock` the loop goes on soon.
BREAKER_POLL_S = 10.0
BREAKER_REASONS = frozenset(("breaker-open", "login-paced", "account-locked"))
# What was rejected will most likely be rejected again: often enough to notice that it was a mishap.
REJECTED_S = 60.0


class Pacing:
    """Counts failures in a row; the wait doubles with each."""

    def __init__(self, settings: RegistrarSettings) -> None:
        self._interval_s = settings.interval_s
        self._timing = settings.timing
        self._failures = 0

    def delay(self, errors: Sequence[RegistrarError]) -> float:
        """The seconds until the next tick, after one with these errors."""
        if any(error.reason in BREAKER_REASONS for error in errors):
            # Somebody may unlock it, and another replica's login may succeed.
            return min(self._interval_s, BREAKER_POLL_S)
        passing = [e for e in errors if isinstance(e, UnavailableError | NotExclusiveError)]
        if passing:
            asked = [e.retry_after_s for e in passing if isinstance(e, UnavailableError)]
            return self.backoff(max((seconds or 0.0 for seconds in asked), default=0.0))
        self._failures = 0
        interval_s = self._interval_s * random.uniform(0.9, 1.0)  # noqa: S311 (spreads)
        if any(not isinstance(error, StopError) for error in errors):
            return min(interval_s, REJECTED_S)
        return interval_s

    def backoff(self, asked_s: float = 0.0) -> float:
        """Doubles, with jitter, up to a limit; never less than what the provider asked for."""
        doubled_s = self._timing.first_retry_s * 2.0 ** min(self._failures, 20)
        self._failures += 1
        longest_s = min(doubled_s, self._timing.max_retry_s, self._interval_s)
        return max(longest_s * random.uniform(0.5, 1.0), asked_s)  # noqa: S311
