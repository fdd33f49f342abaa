"""The recovery's loop, in a thread of its own: watches for gaps, and sweeps when it is time."""

import threading
import time
from collections.abc import Callable

import redis
import structlog

from registrar.errors import NotExclusiveError, StoppingError
from registrar.model import Slot
from registrar.recovery.gaps import GapWatch
from registrar.recovery.schedule import next_sweep
from registrar.recovery.service import MAX_CALLS, Plan, Recovery
from registrar.turn import Turn

log = structlog.get_logger("registrar")

POLL_S = 15.0
HOUR_MS = 3_600_000


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
        self._is_failing = False
        self._thread = threading.Thread(target=self._run, name="recovery", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Ends, at the next call at the latest; what a sweep has found until then is stored."""
        self._stopping.set()

    def tick(self) -> None:
        """Looks once whether something is to be done, and does it."""
        try:
            self._watch()
            if causes := self._due():
                log.info("sweep begun", slots=len(causes), cause=next(iter(causes.values())))
                self._recovery.run(Plan(causes, max_calls=MAX_CALLS), self._turn)
            self._is_failing = False
        except NotExclusiveError as error:
            log.debug("not swept", reason=error.reason)
        except redis.RedisError as error:
            if not self._is_failing:
                log.warning("no recovery", reason="redis-lost", why=type(error).__name__)
            self._is_failing = True
        except Exception:
            # A mistake of ours: it must not end the thread, for the next sweep may well succeed.
            log.exception("sweep failed")

    def _run(self) -> None:
        while not self._stopping.wait(POLL_S):
            self.tick()

    def _watch(self) -> None:
        self._gaps = self._gaps or self._make_gaps()
        self._gaps.note(self._clock_ms())

    def _due(self) -> dict[Slot, str]:
        """The slots whose sweep is due, and why."""
        store, now_ms = self._recovery.store, self._clock_ms()
        records, gap_ms = store.slots(self._recovery.slots), store.gap_ms()
        nexts = {
            slot: next_sweep(
                slot,
                record,
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
