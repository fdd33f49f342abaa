"""The messages a consumer has in flight, and which of them may be handled next. Shared by all its threads. Pure."""

import heapq
import itertools
import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable

from listener.consumer.deliveries.delivery import Delivery, Key
from listener.consumer.options import MAX_BATCHES_IN_FLIGHT

# How long a thread waits before it checks again whether the consumer stops.
POLL_S = 0.5


class InFlight:
    """Readers add deliveries, workers take them, the acknowledger removes them.

    A delivery is in flight until `remove`. Meanwhile it is in exactly one state: ready, crash suspect,
    delayed until its retry, blocked by an earlier one with its ordering key, being handled, or finished.
    Crash suspects are handled one at a time: if one crashes the process, no other delivery is blamed.
    """

    def __init__(
        self,
        *,
        batch: int,
        ordered: bool,
        concurrency: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """See `Options`; the clock is monotonic, in seconds."""
        self._concurrency = concurrency
        self._taken = 0
        self._slot_waiters = 0
        self._batch = batch
        self._ordered = ordered
        self._clock = clock
        self._deliveries: dict[Key, Delivery] = {}
        self._ready: deque[Delivery] = deque()
        self._crash_suspects: deque[Delivery] = deque()
        self._active_suspect: Delivery | None = None
        self._delayed: list[tuple[float, int, Delivery]] = []
        self._sequence = itertools.count()
        # The deliveries that each ordering key blocks; a key is present while a delivery of it is in flight.
        self._blocked: dict[bytes, deque[Delivery]] = {}
        self._finished: list[Delivery] = []
        self._counts: Counter[int] = Counter()
        # Of those in flight: what cannot be handled now. It does not keep newer messages from being read.
        self._not_ready: Counter[int] = Counter()
        self._closed = False
        self._lock = threading.Lock()
        self._work_available = threading.Condition(self._lock)
        self._slot_available = threading.Condition(self._lock)
        self._room_available = threading.Condition(self._lock)
        self._finished_available = threading.Condition(self._lock)

    def room(self, partitions: Iterable[int]) -> int:
        """How many more messages may be read of these partitions together; waits briefly for room."""
        with self._lock:
            free = self._free(partitions)
            # Read few messages only while a worker has nothing to do.
            if free < max(1, self._batch // 2) and (free <= 0 or self._ready):
                self._room_available.wait(POLL_S)
                free = self._free(partitions)
            return max(free, 0)

    def claim_limit(self, partition: int) -> int:
        """How many messages of a partition may be claimed: a batch more, so that a busy consumer claims too."""
        with self._lock:
            return max(0, self._free([partition]) + self._batch - len(self._crash_suspects))

    def add(self, deliveries: Iterable[Delivery]) -> int:
        """Adds deliveries, except those in flight already; returns how many were added."""
        count = 0
        with self._lock:
            for delivery in deliveries:
                if delivery.key not in self._deliveries:
                    self._deliveries[delivery.key] = delivery
                    self._counts[delivery.partition] += 1
                    self._arrange(delivery)
                    count += 1
        return count

    def take(self) -> Delivery | None:
        """The next delivery to handle; waits for it. None once this is closed.

        At most `concurrency` are handed out at once: until each is retried, given up, finished or removed.
        """
        with self._lock:
            while not self._closed:
                if self._taken >= self._concurrency:
                    self._slot_waiters += 1
                    self._slot_available.wait()
                    continue
                until_due_s = self._release_delayed()
                if delivery := self._next():
                    return delivery
                self._work_available.wait(until_due_s)
        return None

    def take_now(self) -> Delivery | None:
        """The next delivery to handle, if there is one at this moment."""
        with self._lock:
            self._release_delayed()
            return self._next()

    @property
    def until_due_s(self) -> float | None:
        """Seconds until the next retry is due; None: none is waiting."""
        with self._lock:
            return self._release_delayed()

    def give_up(self, delivery: Delivery) -> None:
        """Makes a delivery whose handler ended ready for the worker that dead-letters it."""
        with self._lock:
            self._release_slot(delivery)
            self._end_suspicion(delivery)
            self._ready.appendleft(delivery)
            self._work_available.notify()

    def retry(self, delivery: Delivery, delay_s: float) -> None:
        """Makes a delivery ready again after `delay_s` seconds."""
        with self._lock:
            self._release_slot(delivery)
            self._not_ready[delivery.partition] += 1
            due = self._clock() + delay_s
            heapq.heappush(self._delayed, (due, next(self._sequence), delivery))
            self._end_suspicion(delivery)
            # A waiting worker has to wait for this one now.
            self._work_available.notify()
            self._room_available.notify_all()

    def finish(self, delivery: Delivery) -> None:
        """Marks a delivery as handled; it has to be acknowledged."""
        with self._lock:
            self._release_slot(delivery)
            delivery.is_done = True
            self._finished.append(delivery)
            # A thread that waits was waiting for the first.
            if len(self._finished) == 1:
                self._finished_available.notify()

    def take_finished(self) -> list[Delivery]:
        """The deliveries to acknowledge, each returned once; waits briefly for some."""
        with self._lock:
            if not self._finished and not self._closed:
                self._finished_available.wait(POLL_S)
            finished, self._finished = self._finished, []
            return finished

    def remove(self, deliveries: Iterable[Delivery]) -> None:
        """Removes deliveries that were acknowledged, dead-lettered or lost."""
        with self._lock:
            for delivery in deliveries:
                if self._deliveries.pop(delivery.key, None) is None:
                    continue
                self._counts[delivery.partition] -= 1
                if delivery.is_taken:
                    self._release_slot(delivery)
                self._end_suspicion(delivery)
                if delivery.ordering_key is not None:
                    self._unblock_next(delivery.ordering_key)
            self._room_available.notify_all()

    def keys(self) -> set[Key]:
        """The keys of all deliveries in flight."""
        with self._lock:
            return set(self._deliveries)

    def snapshot(self) -> list[Delivery]:
        """All deliveries in flight, in the order they came."""
        with self._lock:
            return list(self._deliveries.values())

    @property
    def is_busy(self) -> bool:
        """Whether any delivery is ready, being handled or to be acknowledged."""
        with self._lock:
            return self._counts.total() > self._not_ready.total()

    def close(self) -> None:
        """Hands out no more deliveries; every waiting thread returns."""
        with self._lock:
            self._closed = True
            self._work_available.notify_all()
            self._slot_available.notify_all()
            self._room_available.notify_all()
            self._finished_available.notify_all()

    def _next(self) -> Delivery | None:
        if self._crash_suspects and not self._active_suspect:
            delivery = self._active_suspect = self._crash_suspects.popleft()
            self._not_ready[delivery.partition] -= 1
        elif self._ready:
            delivery = self._ready.popleft()
        else:
            return None
        delivery.is_taken = True
        self._taken += 1
        return delivery

    def _release_slot(self, delivery: Delivery) -> None:
        if delivery.is_taken:
            delivery.is_taken = False
            self._taken -= 1
            # Each slot that becomes free has one thread more look for work, if any waits for a slot.
            if self._slot_waiters:
                self._slot_waiters -= 1
                self._slot_available.notify()

    def _free(self, partitions: Iterable[int]) -> int:
        count = sum(self._counts[number] for number in partitions)
        not_ready = sum(self._not_ready[number] for number in partitions)
        return min(self._batch + not_ready, MAX_BATCHES_IN_FLIGHT * self._batch) - count

    def _arrange(self, delivery: Delivery) -> None:
        key = delivery.ordering_key = delivery.fields.get(b"subject") if self._ordered else None
        if key is not None and key in self._blocked:
            self._blocked[key].append(delivery)
            self._not_ready[delivery.partition] += 1
            return
        if key is not None:
            self._blocked[key] = deque()
        self._make_ready(delivery)

    def _make_ready(self, delivery: Delivery) -> None:
        if delivery.is_crash_suspect:
            self._crash_suspects.append(delivery)
            self._not_ready[delivery.partition] += 1
        else:
            self._ready.append(delivery)
        self._work_available.notify()

    def _unblock_next(self, key: bytes) -> None:
        if self._blocked[key]:
            delivery = self._blocked[key].popleft()
            self._not_ready[delivery.partition] -= 1
            self._make_ready(delivery)
        else:
            del self._blocked[key]

    def _end_suspicion(self, delivery: Delivery) -> None:
        if delivery is self._active_suspect:
            self._active_suspect = None
            self._work_available.notify()

    def _release_delayed(self) -> float | None:
        """Makes ready what is due for its retry; returns the seconds until the next one, if any."""
        if not self._delayed:
            return None
        now = self._clock()
        while self._delayed and self._delayed[0][0] <= now:
            _, _, delivery = heapq.heappop(self._delayed)
            self._not_ready[delivery.partition] -= 1
            self._make_ready(delivery)
        return self._delayed[0][0] - now if self._delayed else None
