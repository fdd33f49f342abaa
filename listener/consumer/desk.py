"""What a consumer has in hand, and who may take what next. Shared by all its threads; no Redis."""

import heapq
import itertools
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable

from listener.consumer.delivery import Delivery, Key
from listener.consumer.options import HELD_BATCHES

# How long a thread waits before it looks again at whether it is to end.
GLANCE_S = 0.5


class Desk:
    """Readers put deliveries on it, workers take them, the acknowledger clears them away.

    A delivery stays in hand until `clear`. Meanwhile it is in one place: ready, under suspicion,
    waiting for its time, held back behind another of its lane, at work, or finished.

    Of those under suspicion one at a time is at work, until it is cleared: were it to bring the process
    down, no other would be blamed.
    """

    def __init__(
        self, *, batch: int, ordered: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Nothing is on it. See `Options`; the clock is monotonic, in seconds."""
        self._batch = batch
        self._ordered = ordered
        self._clock = clock
        self._hand: dict[Key, Delivery] = {}
        self._ready: deque[Delivery] = deque()
        self._suspects: deque[Delivery] = deque()
        self._suspect_at_work: Delivery | None = None
        self._waiting: list[tuple[float, int, Delivery]] = []
        self._ticket = itertools.count()
        # The deliveries held back in each lane; a lane without any is there while one is under way.
        self._lanes: dict[bytes, deque[Delivery]] = {}
        self._finished: list[Delivery] = []
        self._in_hand: Counter[int] = Counter()
        # Of those in hand: neither to be handled now nor soon.
        self._parked: Counter[int] = Counter()
        self._closed = False
        lock = threading.Lock()
        self._lock = lock
        self._work = threading.Condition(lock)
        self._room = threading.Condition(lock)
        self._done = threading.Condition(lock)

    def room(self, partitions: Iterable[int]) -> int:
        """How many more may be read of these partitions together; waits a moment for some."""
        with self._lock:
            free = self._free(partitions)
            # Small reads only while a worker has nothing to do.
            if free < max(1, self._batch // 2) and (free <= 0 or self._ready):
                self._room.wait(GLANCE_S)
                free = self._free(partitions)
            return max(free, 0)

    def put(self, deliveries: Iterable[Delivery]) -> int:
        """Takes what was read; what is in hand already stays as it is. Returns how many are new."""
        count = 0
        with self._lock:
            for delivery in deliveries:
                if delivery.key not in self._hand:
                    self._hand[delivery.key] = delivery
                    self._in_hand[delivery.partition] += 1
                    self._arrange(delivery)
                    count += 1
        return count

    def take(self) -> Delivery | None:
        """The next one to be handled; waits for it. None once the desk is closed."""
        with self._lock:
            while not self._closed:
                until_due = self._wake()
                if self._suspects and not self._suspect_at_work:
                    suspect = self._suspect_at_work = self._suspects.popleft()
                    self._parked[suspect.partition] -= 1
                    return suspect
                if self._ready:
                    return self._ready.popleft()
                self._work.wait(until_due)
        return None

    def finish(self, delivery: Delivery) -> None:
        """It was handled, and has to be acknowledged."""
        with self._lock:
            delivery.is_done = True
            self._finished.append(delivery)
            self._done.notify()

    def retry(self, delivery: Delivery, delay_s: float) -> None:
        """It has to be taken once more, in so many seconds."""
        with self._lock:
            self._parked[delivery.partition] += 1
            heapq.heappush(self._waiting, (self._clock() + delay_s, next(self._ticket), delivery))
            self._release(delivery)
            # Whoever waits has to wait for this one now; and there is room for one more.
            self._work.notify()
            self._room.notify_all()

    def finished(self) -> list[Delivery]:
        """Those that have to be acknowledged, each told once; waits a moment for some."""
        with self._lock:
            if not self._finished and not self._closed:
                self._done.wait(GLANCE_S)
            found, self._finished = self._finished, []
            return found

    def clear(self, deliveries: Iterable[Delivery]) -> None:
        """They are no longer in hand: acknowledged, dead or lost."""
        with self._lock:
            for delivery in deliveries:
                if self._hand.pop(delivery.key, None) is None:
                    continue
                self._in_hand[delivery.partition] -= 1
                self._release(delivery)
                if delivery.lane is not None:
                    self._advance(delivery.lane)
            self._room.notify_all()

    def __contains__(self, key: Key) -> bool:
        """Whether an entry is in hand."""
        with self._lock:
            return key in self._hand

    def __len__(self) -> int:
        """How many are in hand."""
        with self._lock:
            return len(self._hand)

    def in_hand(self) -> list[Delivery]:
        """All of them, in the order they came."""
        with self._lock:
            return list(self._hand.values())

    def allowance(self, partition: int) -> int:
        """How many may be taken over of a partition: room of their own, so that a load never bars them."""
        with self._lock:
            return max(0, self._free([partition]) + self._batch - len(self._suspects))

    @property
    def is_busy(self) -> bool:
        """Whether there is more in hand than what waits: for its time, or behind another."""
        with self._lock:
            return self._in_hand.total() > self._parked.total()

    def close(self) -> None:
        """Nothing more is given out; all who wait return."""
        with self._lock:
            self._closed = True
            self._work.notify_all()
            self._room.notify_all()
            self._done.notify_all()

    def _free(self, partitions: Iterable[int]) -> int:
        in_hand = sum(self._in_hand[number] for number in partitions)
        parked = sum(self._parked[number] for number in partitions)
        return min(self._batch - (in_hand - parked), HELD_BATCHES * self._batch - in_hand)

    def _arrange(self, delivery: Delivery) -> None:
        lane = delivery.fields.get(b"subject") if self._ordered else None
        delivery.lane = lane
        if lane is None:
            self._offer(delivery)
        elif lane in self._lanes:
            self._lanes[lane].append(delivery)
            self._parked[delivery.partition] += 1
        else:
            self._lanes[lane] = deque()
            self._offer(delivery)

    def _offer(self, delivery: Delivery) -> None:
        if delivery.is_suspect:
            self._suspects.append(delivery)
            # It waits for those before it, and must not keep what is new from being read.
            self._parked[delivery.partition] += 1
        else:
            self._ready.append(delivery)
        self._work.notify()

    def _advance(self, lane: bytes) -> None:
        held_back = self._lanes[lane]
        if held_back:
            following = held_back.popleft()
            self._parked[following.partition] -= 1
            self._offer(following)
        else:
            del self._lanes[lane]

    def _release(self, delivery: Delivery) -> None:
        if delivery is self._suspect_at_work:
            self._suspect_at_work = None
            self._work.notify()

    def _wake(self) -> float | None:
        """Makes ready what has waited long enough; seconds until the next one, None without one."""
        now = self._clock()
        while self._waiting and self._waiting[0][0] <= now:
            _, _, delivery = heapq.heappop(self._waiting)
            self._parked[delivery.partition] -= 1
            self._offer(delivery)
        return self._waiting[0][0] - now if self._waiting else None
