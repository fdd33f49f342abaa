"""What a consumer does when Redis fails: logs it once, backs off for each partition, asks for less at once."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import redis

from listener.consumer.options import Backoff
from listener.queue.redis_errors import describe_error
from listener.safe_logger import SafeLogger

log = SafeLogger("listener.consumer")

READ_BACKOFF = Backoff(base_s=0.1, cap_s=3.0)

# A server that hangs costs a thread its whole time limit at each attempt: for this many times as long
# the thread then does other things.
BACKOFF_FACTOR = 4
BACKOFF_S = 0.8
MAX_BACKOFF_S = 20.0
# Full replies before a size on which a connection broke is tried again; another failure then costs little.
REPLIES_BEFORE_RETRY = 8


class BackingOffError(Exception):
    """A partition failed a moment ago, and is not tried for another `left_s` seconds."""

    def __init__(self, left_s: float) -> None:
        super().__init__(f"not tried for {left_s:.1f} s")
        self.left_s = left_s


class Outages:
    """Knows which activity fails in which partition. Threads share it.

    The caller reports failure and success by `begin` and `end`; `attempt` only backs off.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._failing: dict[int, set[str]] = {}
        self._blocked_until: dict[tuple[str, int], float] = {}
        self._clock = clock
        self._began = clock()
        self._answered_at: dict[int, float] = {}
        self._lock = threading.Lock()

    @contextmanager
    def attempt(self, activity: str, partition: int) -> Iterator[None]:
        """Surrounds one attempt by a thread that serves other partitions as well.

        After a failure further attempts are refused for a while, in proportion to the time it took.

        Raises:
            BackingOffError: nothing was tried.
        """
        began, key = self._clock(), (activity, partition)
        if (left_s := self._blocked_until.get(key, 0) - began) > 0:
            raise BackingOffError(left_s)
        try:
            yield
        except redis.RedisError:
            now = self._clock()
            backoff_s = max(BACKOFF_S, BACKOFF_FACTOR * (now - began))
            self._blocked_until[key] = now + min(backoff_s, MAX_BACKOFF_S)
            raise
        self._blocked_until.pop(key, None)
        self.record_answer([partition])

    def record_answer(self, partitions: Iterable[int]) -> None:
        """Records that a command of these partitions has just succeeded."""
        now = self._clock()
        for number in partitions:
            self._answered_at[number] = now

    def silent_s(self, partition: int) -> float:
        """How many seconds ago a command last succeeded there; at first, the time since the start."""
        return self._clock() - self._answered_at.get(partition, self._began)

    def is_failing(self, partition: int) -> bool:
        """Whether any activity failed there and has not succeeded since."""
        return partition in self._failing

    def begin(self, activity: str, partitions: Iterable[int], error: Exception) -> None:
        """Records a failure; logs it for the partitions where nothing failed so far."""
        with self._lock:
            new = [number for number in partitions if number not in self._failing]
            for number in partitions:
                self._failing.setdefault(number, set()).add(activity)
        if new:
            detail = describe_error(error)
            log.warning("redis fails; the consumer waits for it", partitions=new, detail=detail)

    def end(self, activity: str, partitions: Iterable[int]) -> None:
        """Records a success; logs it for the partitions where nothing fails any more."""
        if not self._failing:
            return
        recovered = []
        with self._lock:
            for number in partitions:
                failing = self._failing.get(number)
                if failing is None:
                    continue
                failing.discard(activity)
                if not failing:
                    del self._failing[number]
                    recovered.append(number)
        if recovered:
            log.info("redis answers again", partitions=recovered)


class ConsecutiveFailures:
    """Counts one thread's failures in a row, and pauses longer after each."""

    def __init__(self, wait: Callable[[float], object]) -> None:
        """`wait` sleeps for that many seconds, or less if the consumer stops."""
        self._wait = wait
        self._failures = 0

    def pause(self) -> None:
        """Counts a failure, and waits."""
        self._failures += 1
        self._wait(READ_BACKOFF.after(self._failures))

    def reset(self) -> None:
        """The next failure counts as the first."""
        self._failures = 0


class AdaptiveSize:
    """How much to ask for at once: halved when a connection broke on a reply, and grown again slowly.

    A server, or a proxy before it, may cut a connection whose reply is too large
    (client-output-buffer-limit), and a slow network may not bring a large reply in time. The same
    request would fail again. Threads share it.

    Args:
        largest: messages or bytes.
        smallest: the size never falls below.
        initial: what it is at first, if that is less than `largest`.
    """

    def __init__(self, largest: int, smallest: int = 1, initial: int | None = None) -> None:
        self._largest = largest
        self._smallest = smallest
        self._broke_at = largest + 1
        self._replies = 0
        self.size = largest if initial is None else min(initial, largest)

    def shrink(self) -> None:
        """Halves the size, after a reply did not come whole."""
        self._broke_at, self._replies = self.size, 0
        self.size = max(self._smallest, self.size // 2)

    def limit(self, size: int) -> None:
        """Reduces the size to what is wanted at once."""
        self.size = max(self._smallest, min(self.size, size))

    def grow(self) -> None:
        """Grows by an eighth, after a reply came that was as large as it could be."""
        larger = min(self._largest, self.size + max(1, self.size // 8))
        if larger >= self._broke_at:
            self._replies += 1
            if self._replies < REPLIES_BEFORE_RETRY:
                return
            self._broke_at = self._largest + 1
        self.size = larger
