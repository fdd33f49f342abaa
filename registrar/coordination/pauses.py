"""Pauses that the provider asks for, or needs; all replicas share them through Redis."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import redis

from registrar.coordination.keys import Keys
from registrar.coordination.scripts import script
from registrar.errors import UnavailableError


@dataclass(frozen=True)
class Pace:
    """How long the first pause is, and the longest, in seconds, and by how much they vary."""

    first_s: float
    longest_s: float
    jitter: tuple[float, float]


# A throttle without a Retry-After.
THROTTLED = Pace(2.0, 300.0, (1.0, 1.25))
# A provider that fails: so short that the URL is registered within ten seconds of its return.
FAILING = Pace(0.5, 7.0, (0.75, 1.0))


class Pauses:
    """Counted and timed in Redis; by each process alone while Redis cannot be reached.

    Only a reply of the provider begins a pause: that this machine cannot reach it says nothing
    of the other replicas. Nothing here raises.

    Args:
        client: of Redis.
        keys: of the namespace.
        clock: returns monotonic seconds.
    """

    def __init__(
        self, client: "redis.Redis", keys: Keys, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._redis = client
        self._keys = [keys.pause, keys.pauses]
        self._script = script(client, "pause")
        self._clock = clock
        self._count = 0
        self._until = float("-inf")

    def own_left_s(self) -> float:
        """The seconds that are left of the last pause that this process knows; 0 without one. Does not ask Redis."""
        return max(self._until - self._clock(), 0.0)

    def left_s(self) -> float:
        """How long the present pause still lasts, in seconds; 0: there is none. Asks Redis."""
        own = self.own_left_s()
        try:
            shared_ms = self._redis.pttl(self._keys[0])
        except redis.RedisError:
            return own
        return max(own, shared_ms / 1000)

    def begin(self, *errors: UnavailableError) -> None:
        """Begins one pause because of the provider's replies; errors without a reply are ignored.

        One throttled reply among failures decides the pace; the pause is as long as the longest that is asked for.
        """
        answered = [error for error in errors if error.http_status is not None]
        if not answered:
            return
        pace = THROTTLED if any(map(_throttles, answered)) else FAILING
        asked = max(error.retry_after_s or 0.0 for error in answered)
        jitter = random.uniform(*pace.jitter)  # noqa: S311
        doubled = min(pace.first_s * 2.0 ** min(self._count, 30), pace.longest_s) * jitter
        self._count += 1
        pause = max(doubled, asked)
        millis = [round(seconds * 1000) for seconds in (pace.first_s, pace.longest_s, asked)]
        try:
            pause = self._script(keys=self._keys, args=[*millis, jitter]) / 1000
        except redis.RedisError:
            # Then each replica counts by itself.
            pass
        self._until = self._clock() + pause

    def end(self) -> None:
        """Forgets the pauses: the provider answers."""
        self._count, self._until = 0, float("-inf")
        try:
            self._redis.delete(*self._keys)
        except redis.RedisError:
            # They expire by themselves.
            pass


def _throttles(error: UnavailableError) -> bool:
    return error.reason == "throttled" or error.http_status == 429
