"""Sends the callbacks of upgrades that run their course, when they are due."""

import heapq
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from sandbox.campaigns.catalogue import Batch
from sandbox.campaigns.upgrade import Upgrade
from sandbox.courses import callbacks
from sandbox.courses.callbacks import Event
from sandbox.delivery.deliveries import Result
from sandbox.delivery.sender import Sender

# Deliveries under way at a time: with a listener that hangs, courses fall behind rather than fill the memory.
MAX_DELIVERIES = 200


@dataclass(order=True, slots=True)
class Due:
    """An upgrade and its next callback. The number of batch and upgrade orders those that are due together."""

    time: float
    batch_number: int
    upgrade_number: int
    event: Event = field(compare=False)
    rest: Iterator[Event] = field(compare=False)
    batch: Batch = field(compare=False)
    upgrade: Upgrade = field(compare=False)


class Runner:
    """Keeps the next callback of each upgrade, and sends it at its time.

    Args:
        sender: sends it.
        clock: the time, in seconds since the epoch.
    """

    def __init__(self, sender: Sender, *, clock: Callable[[], float]) -> None:
        self._sender = sender
        self._clock = clock
        self._changed = threading.Condition()
        self._due: list[Due] = []
        self._slots = threading.BoundedSemaphore(MAX_DELIVERIES)

    def start(self) -> None:
        """Sends callbacks from now on, in a thread that ends with the process."""
        threading.Thread(target=self._run, daemon=True).start()

    def add(self, batch: Batch) -> None:
        """Sends the callbacks of a batch's upgrades from now on."""
        with self._changed:
            for upgrade in batch.upgrades:
                self._push(batch, upgrade, callbacks.events(upgrade))
            self._changed.notify_all()

    def clear(self) -> None:
        """Sends none of the callbacks that are still to come."""
        with self._changed:
            self._due.clear()

    def run_due(self) -> float | None:
        """Sends what is due. Returns the time of the next callback; None: there is none."""
        while True:
            with self._changed:
                if not self._due or self._due[0].time > self._clock():
                    return self._due[0].time if self._due else None
                due = heapq.heappop(self._due)
                self._push(due.batch, due.upgrade, due.rest)
            # A cancelled upgrade raises no more of them.
            if due.event.position <= due.upgrade.ends_at():
                self._send(due)

    def _push(self, batch: Batch, upgrade: Upgrade, rest: Iterator[Event]) -> None:
        event = None if upgrade.placed is not None else next(rest, None)
        if event is not None:
            time = upgrade.time_at(event.position)
            heapq.heappush(
                self._due, Due(time, batch.number, upgrade.number, event, rest, batch, upgrade)
            )

    def _send(self, due: Due) -> None:
        plan, tally = due.batch.plan, due.batch.tally
        self._slots.acquire()
        tally.add("pending")

        def ended(result: Result) -> None:
            tally.add("pending", -1)
            tally.add(result)
            self._slots.release()

        self._sender.send(
            callbacks.message(due.upgrade, due.event),
            plan.account,
            version=plan.version,
            upgrade_id=due.upgrade.id,
            drop=due.batch.losses.takes_next(),
            ended=ended,
        )

    def _run(self) -> None:
        while True:
            self.run_due()
            with self._changed:
                now = self._clock()
                wait_s = max(0.0, self._due[0].time - now) if self._due else None
                # It may have come while the lock was not held.
                if wait_s != 0.0:
                    self._changed.wait(wait_s)
