"""Moves messages from the spool to Redis once it confirms again; one process of a host at a time."""

import threading
import time
from collections.abc import Callable, Sequence

import structlog

from listener import metrics
from listener.errors import MessageRefusedError, QueueUnavailableError
from listener.queue.batches import Outcome
from listener.queue.down_partitions import DownPartitions
from listener.queue.fingerprints import FingerprintRestorer
from listener.queue.stream_writer import MAX_BATCH_BYTES, MAX_BATCH_MESSAGES, Receipt
from listener.queue.writer import PartialWriteError, RedisWriter
from listener.spool.spool import Spool, Spooled
from listener.spool.waiting_notice import WaitingNotice

log = structlog.get_logger("listener.drainer")

EVERY_S = 0.25
# How long messages move, in seconds, before the partitions that are down are checked again.
CHECK_EVERY_S = 1.0


class Drainer:
    """A background thread of each worker: notices the end of an outage, and drains if it leads.

    The leader holds a lock (`Spool.lead`). The messages of a partition move in the order in which they were
    journalled, a partition that is down does not delay the others, and a message is deleted from the
    journal only when Redis has confirmed it. After a crash in between it moves again, which adds nothing
    within the de-duplication window. A message that Redis refuses by itself is set aside. While the journal
    cannot be written, because its disk is full, nothing more moves.
    """

    def __init__(
        self,
        spool: Spool,
        writer: RedisWriter,
        drain_writer: RedisWriter,
        down_partitions: DownPartitions,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Starts nothing yet.

        Args:
            spool: where messages wait.
            writer: writes the messages that arrive; whether it can decides when an outage is over.
            drain_writer: writes those that waited, and has more time; closed with the drainer.
            down_partitions: the partitions whose messages stay in the spool.
            clock: monotonic seconds.
        """
        self._spool = spool
        self._writer = writer
        self._drain_writer = drain_writer
        self._down_partitions = down_partitions
        self._clock = clock
        self._restorers: dict[int, FingerprintRestorer] = {}
        # Moved, and not yet deleted from the journal.
        self._to_delete: list[Spooled] = []
        # All messages that are left up to this place are those of the skipped partitions.
        self._cursor = 0
        self._skipped_partitions: frozenset[int] = frozenset()
        # Others must know that messages wait before these move, and only partition 0's Redis can say it.
        self._notice = WaitingNotice(lambda: not spool.is_empty(), writer.announce_spool, clock)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drainer", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread after the batch that it moves; the rest stays in the journal."""
        self._stopped.set()
        self._drain_writer.stop()
        if self._thread.is_alive():
            self._thread.join()

    def close(self) -> None:
        """Stops, and closes the connections."""
        self.stop()
        self._drain_writer.close()

    def run_once(self) -> None:
        """Checks whether outages are over, and moves all that can be moved.

        Raises:
            QueueUnavailableError, OSError: the journal cannot be read or written.
        """
        self._check_outages()
        if not self._stopped.is_set() and self._spool.lead():
            self._announce()
            self._drain()
            if self._notice.says_waiting:
                self._announce()

    def _run(self) -> None:
        # The same failure each time is logged once.
        logged = ""
        while not self._stopped.wait(EVERY_S):
            try:
                self.run_once()
                logged = ""
            except (QueueUnavailableError, OSError) as problem:
                if logged != (logged := str(problem)):
                    log.warning("draining stopped", detail=logged)
            except Exception as error:
                # A drainer that ended would leave messages behind until a restart.
                if logged != (logged := repr(error)):
                    log.exception("draining failed")

    def _announce(self) -> None:
        if 0 not in self._down_partitions.numbers:
            self._notice.update()

    def _check_outages(self) -> None:
        for partition in self._down_partitions.numbers:
            if self._stopped.is_set():
                return
            try:
                self._writer.check(partition)
            except QueueUnavailableError:
                continue
            self._down_partitions.mark_up(partition)
        self._down_partitions.log_ends()

    def _drain(self) -> None:
        # What could not be deleted must not move again: it would be doubled after the window.
        self._delete_moved()
        if not self._skipped_partitions or self._is_one_up_again():
            self._rewind()
        # Valid for as long as messages move without a pause.
        self._restorers = {}
        moved = 0
        check_at = self._clock() + CHECK_EVERY_S
        while (count := self._drain_batch()) is not None:
            moved += count
            if self._clock() >= check_at:
                check_at = self._check_between()
        if moved:
            log.info("spool drained", messages=moved)

    def _check_between(self) -> float:
        """Checks the partitions that are down while messages move; returns the time of the next check."""
        began = self._clock()
        self._check_outages()
        if self._is_one_up_again():
            self._rewind()
        # Where Redis hangs a check takes long: at least half of the time is for moving.
        ended = self._clock()
        return ended + max(CHECK_EVERY_S, ended - began)

    def _is_one_up_again(self) -> bool:
        return not self._skipped_partitions <= self._down_partitions.numbers

    def _rewind(self) -> None:
        # To the beginning, for the order within a partition, and because a new journal counts its places anew.
        self._skipped_partitions = frozenset()
        self._cursor = 0
        self._restorers = {}

    def _drain_batch(self) -> int | None:
        """Moves the next messages, except those of partitions that are down.

        Returns:
            How many moved; None if there are no more messages, or the service stops.
        """
        if self._stopped.is_set():
            return None
        batch = self._spool.oldest(MAX_BATCH_MESSAGES, MAX_BATCH_BYTES, after=self._cursor)
        if not batch:
            return None
        moved = 0
        for partition in {self._partition(spooled) for spooled in batch}:
            group = [spooled for spooled in batch if self._partition(spooled) == partition]
            if partition in self._down_partitions.numbers or not self._move(partition, group):
                self._skipped_partitions |= {partition}
            else:
                moved += len(group)
        self._cursor = batch[-1].place
        return moved

    def _partition(self, spooled: Spooled) -> int:
        return self._writer.partition_of(spooled.message).number

    def _move(self, partition: int, group: list[Spooled]) -> bool:
        """Moves the messages that Redis takes, and sets aside those that it refuses; false if some are left."""
        try:
            self._restorer(partition).restore(group)
            self._drain_writer.put_all(partition, [spooled.message for spooled in group])
        except PartialWriteError as problem:
            return self._settle(partition, group, problem.outcomes)
        except QueueUnavailableError as problem:
            self._give_up(partition, problem)
            return False
        self._count_and_delete(group)
        return True

    def _settle(
        self, partition: int, group: list[Spooled], outcomes: Sequence[Outcome[Receipt]]
    ) -> bool:
        pairs = list(zip(group, outcomes, strict=True))
        self._count_and_delete([each for each, outcome in pairs if isinstance(outcome, Receipt)])
        for spooled, outcome in pairs:
            if isinstance(outcome, MessageRefusedError):
                self._spool.set_aside([spooled], outcome.detail)
                log.error("message set aside", id=spooled.message.id, detail=outcome.detail)
            elif isinstance(outcome, QueueUnavailableError):
                self._give_up(partition, outcome)
                return False
        return True

    def _restorer(self, partition: int) -> FingerprintRestorer:
        if partition not in self._restorers:
            restorer = self._drain_writer.fingerprint_restorer(partition, self._spool)
            self._restorers[partition] = restorer
        return self._restorers[partition]

    def _give_up(self, partition: int, problem: QueueUnavailableError) -> None:
        if not self._stopped.is_set():
            self._writer.give_up(partition, problem)

    def _count_and_delete(self, moved: list[Spooled]) -> None:
        metrics.count(metrics.DRAINED, by=len(moved))
        self._to_delete += moved
        self._delete_moved()

    def _delete_moved(self) -> None:
        if self._to_delete:
            self._spool.remove(self._to_delete)
            self._to_delete = []
