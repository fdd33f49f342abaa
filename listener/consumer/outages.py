"""Which partitions a consumer cannot work on, so that an outage is told once and not hammered at."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import redis

from listener.consumer.backoff import Backoff
from listener.consumer.log import log

PAUSE = Backoff(base_s=0.1, cap_s=3.0)

# A server that hangs costs a thread its whole time limit at each try: so many times as long it then
# does other things.
REST_SHARE = 4
REST_S = 0.8
LONGEST_REST_S = 20.0


class RestingError(Exception):
    """A partition failed a moment ago, and is not tried yet."""

    def __init__(self, left_s: float) -> None:
        """Takes for how many seconds."""
        super().__init__(f"not tried for {left_s:.1f} s")
        self.left_s = left_s


class Outages:
    """Threads share it; each has its own activities, which can fail apart from each other."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is known to be down. The clock is in seconds."""
        self._failing: dict[int, set[str]] = {}
        self._rests: dict[tuple[str, int], float] = {}
        self._clock = clock
        self._lock = threading.Lock()

    @contextmanager
    def attempt(self, activity: str, partition: int) -> Iterator[None]:
        """Round one try, by a thread that has other partitions to see to as well.

        After a failure the next try is refused for a while, the longer the more time that one took.
        It is for the caller to `begin` and `end`.

        Raises:
            RestingError: nothing was tried.
        """
        began, key = self._clock(), (activity, partition)
        if (left_s := self._rests.get(key, 0) - began) > 0:
            raise RestingError(left_s)
        try:
            yield
        except redis.RedisError:
            now = self._clock()
            rest_s = min(max(REST_S, REST_SHARE * (now - began)), LONGEST_REST_S)
            self._rests[key] = now + rest_s
            raise
        self._rests.pop(key, None)

    def is_failing(self, partition: int) -> bool:
        """Whether anything has failed there and not succeeded since."""
        return partition in self._failing

    def begin(self, activity: str, partitions: Iterable[int], error: Exception) -> None:
        """It failed: told in the log if nothing failed there so far."""
        with self._lock:
            new = [number for number in partitions if number not in self._failing]
            for number in partitions:
                self._failing.setdefault(number, set()).add(activity)
        if new:
            detail = f"{type(error).__name__}: {error}"[:300]
            log.warning("redis fails; the consumer waits for it", partitions=new, detail=detail)

    def end(self, activity: str, partitions: Iterable[int]) -> None:
        """It succeeded: told in the log once nothing fails there any more."""
        if not self._failing:
            return
        over = []
        with self._lock:
            for number in partitions:
                failing = self._failing.get(number)
                if failing is None:
                    continue
                failing.discard(activity)
                if not failing:
                    del self._failing[number]
                    over.append(number)
        if over:
            log.info("redis answers again", partitions=over)


class Attempts:
    """One thread's failures in a row, and its waiting between them."""

    def __init__(self, wait: Callable[[float], object]) -> None:
        """Takes what waits for so many seconds, or less if the consumer stops."""
        self._wait = wait
        self._failures = 0

    def failed(self) -> None:
        """Waits, the longer the more often it has failed."""
        self._failures += 1
        self._wait(PAUSE.after(self._failures))

    def succeeded(self) -> None:
        """Begins anew."""
        self._failures = 0
