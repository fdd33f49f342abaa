"""The recovery's loop, in a thread of its own: sweeps when it is time; and beside it the watch for gaps."""

import threading
import time
from collections.abc import Callable

import redis
import structlog

from registrar.errors import NotExclusiveError, StoppingError
from registrar.model import Slot
from registrar.recovery.gaps import GapWatch
from registrar.recovery.records.store import RedisRecoveryStore
from registrar.recovery.schedule import next_sweep
from registrar.recovery.service import HOUR_MS, MAX_CALLS, Plan, Recovery
from registrar.turn import Turn

log = structlog.get_logger("registrar")

POLL_S = 15.0
# A lost mutex means that the sweep was too slow or Redis away, which an operator should see.
LOST = frozenset({"mutex-lost", "mutex-unknown"})


class RecoveryLoop:
    """Sweeps until it is stopped. A sweep has its own mutex, thread and connections: no tick waits for one.

    Args:
        recovery: sweeps.
        gaps: makes the watch, in the thread; what it asks may be slow.
        clock_ms: the time of day, in milliseconds since 1970.
    """

    def __init__(
        self,
        recovery: Recovery,
        gaps: Callable[[], GapWatch],
        clock_ms: Callable[[], int] = lambda: int(time.time() * 1000),
    ) -> None:
        self._recovery = recovery
        self._make_gaps = gaps
        self._gaps: GapWatch | None = None
        self._clock_ms = clock_ms
        self._started_ms = clock_ms()
        self._stopping = threading.Event()
        self._turn = Turn(self._stopping.wait, (self._check_not_stopping,))
        self._failing: set[str] = set()
        # A sweep may last for hours. Its replica runs all the time, and gaps are noticed all the time.
        self._threads = [
            threading.Thread(target=self._run, args=(step, name), name=name, daemon=True)
            for name, step in (("recovery", self.tick), ("gaps", self.watch))
        ]

    def start(self) -> None:
        """Begins."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends, at the next call at the latest; what a sweep has found until then is stored."""
        self._stopping.set()

    def tick(self) -> None:
        """Looks once whether a sweep is due, and sweeps. Raises redis.RedisError."""
        if causes := self._due():
            try:
                self._recovery.run(Plan(causes, max_calls=MAX_CALLS), self._turn)
            except NotExclusiveError as error:
                write = log.warning if error.reason in LOST else log.debug
                write("not swept", reason=error.reason)

    def watch(self) -> None:
        """Looks once whether messages may be lost now. Raises redis.RedisError."""
        self._gaps = self._gaps or self._make_gaps()
        self._gaps.note(self._clock_ms())

    def _run(self, step: Callable[[], None], name: str) -> None:
        while not self._stopping.wait(POLL_S):
            try:
                step()
                self._failing.discard(name)
            except redis.RedisError as error:
                if name not in self._failing:
                    log.warning(
                        "no recovery", thread=name, reason="redis-lost", why=type(error).__name__
                    )
                self._failing.add(name)
            except Exception:
                # A mistake of ours: it must not end the thread, for the next attempt may well succeed.
                log.exception("sweep failed", thread=name)

    def _due(self) -> dict[Slot, str]:
        """The slots whose sweep is due, and why."""
        store, now_ms = self._recovery.store, self._clock_ms()
        records, gap_ms = store.slots(self._recovery.slots), store.gap_ms()
        nexts = {
            slot: next_sweep(
                slot,
                record,
                now_ms=now_ms,
                started_ms=self._started_ms,
                interval_ms=round(self._recovery.interval_h * HOUR_MS),
                gap_ms=gap_ms,
            )
            for slot, record in records.items()
        }
        return {slot: each.cause for slot, each in nexts.items() if each.at_ms <= now_ms}

    def _check_not_stopping(self) -> None:
        if self._stopping.is_set():
            raise StoppingError


class NoRecovery:
    """What runs with RECOVERY=off: deletes the result of earlier sweeps once Redis answers, and ends.

    Args:
        store: shared by all replicas.
    """

    def __init__(self, store: RedisRecoveryStore) -> None:
        self._store = store
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recovery", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Ends soon."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._store.unpublish()
            except redis.RedisError:
                # The registration says that Redis is away.
                self._stopping.wait(POLL_S)
            else:
                return
