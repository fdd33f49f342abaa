"""Which partitions a consumer cannot work on, so that an outage is told once and not hammered at."""

import threading
from collections.abc import Callable, Iterable

from listener.consumer.backoff import Backoff
from listener.consumer.log import log

PAUSE = Backoff(base_s=0.1, cap_s=3.0)


class Outages:
    """Threads share it; each has its own activities, which can fail apart from each other."""

    def __init__(self) -> None:
        """Nothing is known to be down."""
        self._failing: dict[int, set[str]] = {}
        self._lock = threading.Lock()

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
