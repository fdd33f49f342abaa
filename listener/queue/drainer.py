"""Moves messages from the spool to Redis once it confirms again; one process of a host at a time."""

import threading
import time
from collections.abc import Sequence

import structlog

from listener import metrics
from listener.errors import MessageRefusedError, QueueUnavailableError
from listener.queue.down_partitions import DownPartitions
from listener.queue.fingerprints import FingerprintRestorer
from listener.queue.writer import (
    MAX_BATCH_BYTES,
    MAX_BATCH_MESSAGES,
    PartialWriteError,
    Receipt,
    RedisWriter,
)
from listener.spool.spool import Spool, Spooled

log = structlog.get_logger("listener.drainer")

EVERY_S = 0.25
# How long messages move, in seconds, before the partitions that are down are checked again.
CHECK_EVERY_S = 1.0


class Drainer:
    """A background thread of each worker: notices the end of an outage, and drains if it leads.

    The leader holds a lock (`Spool.lead`). The messages of a partition move in the order in which they were journalled, those
    of one that is down do not hold up the others, and they are forgotten
    only when Redis has confirmed them; a crash in between moves them again, which adds nothing
    within the de-duplication window. A message that Redis refuses by itself is set aside. Where the journal
    cannot be written, because its disk is full, nothing more moves until it can.
    """

    def __init__(
        self, writer: RedisWriter, spool: Spool, outages: DownPartitions, *, mover: RedisWriter
    ) -> None:
        """Takes the two ends.

        Args:
            writer: what messages are written with; whether it can write decides when an outage is over.
            spool: where messages wait.
            outages: what is known to be down.
            mover: writes what waited, and has more time for it.
        """
        self._writer = writer
        self._mover = mover
        self._earlier: dict[int, FingerprintRestorer] = {}
        self._spool = spool
        self._outages = outages
        self._moved: list[Spooled] = []
        # The partitions of all messages that are left up to this place: those are down.
        self._beyond = 0
        self._passed_over: frozenset[int] = frozenset()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drainer", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, after the batch it is at; what is left stays in the journal."""
        self._stopped.set()
        self._mover.stop()
        if self._thread.is_alive():
            self._thread.join()

    def run_once(self) -> None:
        """One look: are outages over, and is there something to move?"""
        self._check_outages()
        if not self._stopped.is_set() and self._spool.lead():
            self._drain()

    def _run(self) -> None:
        # What comes back at each look is told once.
        told = ""
        while not self._stopped.wait(EVERY_S):
            try:
                self.run_once()
                told = ""
            except (QueueUnavailableError, OSError) as problem:
                if told != (told := str(problem)):
                    log.warning("draining stopped", detail=told)
            except Exception as error:
                # A drainer that ended would leave messages behind until a restart.
                if told != (told := repr(error)):
                    log.exception("draining failed")

    def _check_outages(self) -> None:
        for partition in self._outages.down:
            if self._stopped.is_set():
                return
            self._check(partition)
        self._outages.settle()

    def _check(self, partition: int) -> None:
        try:
            self._writer.check(partition)
        except QueueUnavailableError:
            return
        self._outages.mark_up(partition)

    def _drain(self) -> None:
        # What could not be forgotten must not move again: it would be doubled after the window.
        self._forget()
        if not self._passed_over or self._is_one_up_again():
            self._begin_again()
        # What is found out about a stream holds for as long as messages move without a pause.
        self._earlier = {}
        moved = 0
        check_at = time.monotonic() + CHECK_EVERY_S
        while (count := self._drain_batch()) is not None:
            moved += count
            if time.monotonic() >= check_at:
                check_at = self._check_between()
        if moved:
            log.info("spool drained", messages=moved)

    def _check_between(self) -> float:
        """Checks what is down while messages move; returns when to do so next, by the monotonic clock."""
        began = time.monotonic()
        self._check_outages()
        if self._is_one_up_again():
            self._begin_again()
        # Where Redis hangs a check takes long: at least half of the time is for moving.
        ended = time.monotonic()
        return ended + max(CHECK_EVERY_S, ended - began)

    def _is_one_up_again(self) -> bool:
        return not self._passed_over <= self._outages.down

    def _begin_again(self) -> None:
        # From the beginning, for the order within a partition; and a journal begun anew counts its places anew.
        self._passed_over = frozenset()
        self._beyond = 0
        self._earlier = {}

    def _drain_batch(self) -> int | None:
        """Moves what can be moved of the next messages, and passes over the rest.

        Returns:
            How many moved; None if there are no more messages, or the service stops.
        """
        if self._stopped.is_set():
            return None
        batch = self._spool.oldest(MAX_BATCH_MESSAGES, MAX_BATCH_BYTES, beyond=self._beyond)
        if not batch:
            return None
        moved = 0
        for partition in {self._partition(spooled) for spooled in batch}:
            group = [spooled for spooled in batch if self._partition(spooled) == partition]
            if partition in self._outages.down or not self._move(partition, group):
                self._passed_over |= {partition}
            else:
                moved += len(group)
        self._beyond = batch[-1].place
        return moved

    def _partition(self, spooled: Spooled) -> int:
        return self._writer.partition_of(spooled.message).number

    def _move(self, partition: int, group: list[Spooled]) -> bool:
        """Moves what Redis takes, and sets aside what it refuses by itself; false if some are left."""
        try:
            self._search(partition).restore(group)
            self._mover.put_all(partition, [spooled.message for spooled in group])
        except PartialWriteError as problem:
            return self._sort(partition, group, problem.outcomes)
        except QueueUnavailableError as problem:
            self._left(partition, problem)
            return False
        self._count(group)
        return True

    def _sort(
        self,
        partition: int,
        group: list[Spooled],
        outcomes: Sequence[Receipt | QueueUnavailableError],
    ) -> bool:
        pairs = list(zip(group, outcomes, strict=True))
        self._count([spooled for spooled, outcome in pairs if isinstance(outcome, Receipt)])
        for spooled, outcome in pairs:
            if isinstance(outcome, MessageRefusedError):
                self._spool.set_aside([spooled], outcome.detail)
                log.error("message set aside", id=spooled.message.id, detail=outcome.detail)
            elif isinstance(outcome, QueueUnavailableError):
                self._left(partition, outcome)
                return False
        return True

    def _search(self, partition: int) -> FingerprintRestorer:
        if partition not in self._earlier:
            self._earlier[partition] = self._mover.fingerprint_restorer(partition, self._spool)
        return self._earlier[partition]

    def _left(self, partition: int, problem: QueueUnavailableError) -> None:
        if not self._stopped.is_set():
            self._writer.give_up(partition, problem)

    def _count(self, moved: list[Spooled]) -> None:
        metrics.count(metrics.DRAINED, by=len(moved))
        self._moved += moved
        self._forget()

    def _forget(self) -> None:
        if self._moved:
            self._spool.remove(self._moved)
            self._moved = []
