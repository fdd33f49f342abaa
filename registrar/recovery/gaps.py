"""Notices when messages may be lost: then a sweep follows some minutes later."""

from collections.abc import Callable, Mapping
from typing import Protocol

import structlog

log = structlog.get_logger("registrar")

# Longer than a restart takes.
DOWN_MS = 120_000


class GapNotes(Protocol):
    """Where gaps are noted: see `registrar.recovery.records.store.RedisRecoveryStore`."""

    def note_alive(self, now_ms: int) -> int:
        """Notes that a replica runs; returns when one did so last, 0: never."""

    def note_gap(self, now_ms: int) -> None:
        """Notes that messages may be lost now."""


class GapWatch:
    """Watches one replica.

    Args:
        notes: shared by all replicas.
        checks: by cause, whether messages may be lost now, or since the last call.
    """

    def __init__(self, notes: GapNotes, checks: Mapping[str, Callable[[], bool]]) -> None:
        self._notes = notes
        self._checks = checks
        self._open: set[str] = set()

    def note(self, now_ms: int) -> None:
        """Looks once, and notes a gap. Raises redis.RedisError."""
        before_ms = self._notes.note_alive(now_ms)
        # No replica ran for a while; the checks of this one are those of a process that runs.
        found = {"service-down"} if before_ms and now_ms - before_ms > DOWN_MS else set()
        found |= {cause for cause, check in self._checks.items() if check()}
        if found:
            self._notes.note_gap(now_ms)
        for cause in sorted(found - self._open):
            log.info("messages may be lost", cause=cause)
        self._open = found


class Rising:
    """Whether a count rose since the last call."""

    def __init__(self, count: Callable[[], float]) -> None:
        self._count = count
        self._before = count()

    def __call__(self) -> bool:
        """See above."""
        before, self._before = self._before, self._count()
        return self._before > before


class Lost:
    """Whether what was there once is gone: a listener that is not ready yet has lost nothing."""

    def __init__(self, is_there: Callable[[], bool]) -> None:
        self._is_there = is_there
        self._was_there = False

    def __call__(self) -> bool:
        """See above."""
        is_there = self._is_there()
        self._was_there |= is_there
        return self._was_there and not is_there
