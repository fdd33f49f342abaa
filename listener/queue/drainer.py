"""Moves messages from the spool to Redis once it confirms again; one process of a host at a time."""

import fcntl
import threading
from pathlib import Path
from typing import IO

import structlog

from listener import metrics
from listener.errors import QueueUnavailableError
from listener.queue.outages import Outages
from listener.queue.spool import Spool, Spooled
from listener.queue.writer import MOST_BYTES, MOST_MESSAGES, RedisWriter

log = structlog.get_logger("listener.drainer")

EVERY_S = 0.25


class Drainer:
    """A background thread of each worker: notices the end of an outage, and drains if it leads.

    The leader holds a lock on a file of the spool's folder; the operating system gives it up for a
    process that dies. Messages move in the order in which they were journalled, and are forgotten
    only when Redis has confirmed them; a crash in between moves them again, which adds nothing
    within the de-duplication window. Where the journal cannot forget them, because its disk is full,
    nothing more moves until it can.
    """

    def __init__(self, writer: RedisWriter, spool: Spool, outages: Outages, folder: Path) -> None:
        """Takes the two ends, and where the leader's lock lies."""
        self._writer = writer
        self._spool = spool
        self._outages = outages
        self._lock_path = folder / "drainer.lock"
        self._lock: IO[str] | None = None
        self._moved: list[Spooled] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drainer", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, after the batch it is at; what is left stays in the journal."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._lock:
            self._lock.close()

    def turn(self) -> None:
        """One look: are outages over, and if so, is there something to move?"""
        for partition in self._outages.down:
            self._check(partition)
        if not self._outages.down and self._leads():
            self._drain()

    def _run(self) -> None:
        while not self._stopped.wait(EVERY_S):
            try:
                self.turn()
            except QueueUnavailableError as problem:
                log.warning("draining stopped", reason=problem.reason, detail=problem.detail)
            except Exception:
                # A drainer that ended would leave messages behind until a restart.
                log.exception("draining failed")

    def _check(self, partition: int) -> None:
        try:
            self._writer.check(partition)
        except QueueUnavailableError:
            return
        self._outages.end(partition)

    def _leads(self) -> bool:
        if self._lock is None:
            self._lock_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = self._lock_path.open("w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                return False
            self._lock = lock
        return True

    def _drain(self) -> None:
        # What could not be forgotten must not move again: it would be doubled after the window.
        self._forget()
        moved = 0
        while batch := self._next_batch():
            for partition in {self._partition(spooled) for spooled in batch}:
                group = [spooled for spooled in batch if self._partition(spooled) == partition]
                moved += self._move(partition, group)
        if moved:
            log.info("spool drained", messages=moved)

    def _next_batch(self) -> list[Spooled]:
        stuck = self._stopped.is_set() or self._outages.down
        return [] if stuck else self._spool.oldest(MOST_MESSAGES, MOST_BYTES)

    def _partition(self, spooled: Spooled) -> int:
        return self._writer.partition_of(spooled.message).number

    def _move(self, partition: int, group: list[Spooled]) -> int:
        try:
            self._writer.put_all(partition, [spooled.message for spooled in group])
        except QueueUnavailableError as problem:
            self._outages.begin(partition, problem.detail)
            return 0
        metrics.count(metrics.DRAINED, by=len(group))
        self._moved += group
        self._forget()
        return len(group)

    def _forget(self) -> None:
        if self._moved:
            self._spool.remove(self._moved)
            self._moved = []
