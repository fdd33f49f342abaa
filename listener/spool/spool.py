"""Keeps messages that Redis did not confirm on local disk: synced before `put` returns, or an error within a time limit."""

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import structlog

from listener import metrics
from listener.errors import QueueUnavailableError
from listener.messages.message import Message
from listener.runtime.group_commit import GroupCommit, Slot
from listener.runtime.native_thread import NativeThread
from listener.spool.journal import Journal
from listener.spool.journal_database import JOURNAL
from listener.spool.journal_health import JournalHealth
from listener.spool.journal_rows import SetAside, Spooled, now

__all__ = ["JOURNAL", "SetAside", "Spool", "Spooled", "Ticket"]

log = structlog.get_logger("listener.spool")

Result = TypeVar("Result")
_Item = Message | SetAside
# A message on its way into the journal.
Ticket = Slot[_Item, bool]

MAX_GROUP_MESSAGES = 256
MAX_GROUP_BYTES = 16 * 2**20
# How long a check waits for its turn and for the disk: as long as a message would.
CHECK_TIMEOUT_S = 1.6
# How long the drainer and a group wait. A message has its own, shorter, time limit.
TIMEOUT_S = 5.0


class Spool:
    """A journal on local disk, synced before `put` returns. One for each process; threads share it.

    A native thread uses the journal, so that no greenlet waits for the disk longer than its time limit.
    Messages that arrive while the disk is busy are written together, in one sync.

    Guaranteed: after `put` returned, the message survives the crash of every process and of the
    host, if its disk keeps what it was asked to sync. A message that is in the journal is not added
    again. A corrupt journal is renamed, never deleted, and a new one is begun. Not guaranteed: anything
    when the disk itself is lost; that a message was not written when `put` raised.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Opens nothing yet: a worker opens the journal after its fork.

        Args:
            folder: where the journal lies; made when the first message needs it.
            max_bytes: what the journal may take; once it is full, messages are refused.
        """
        self._journal = Journal(folder, max_bytes)
        self._thread = NativeThread()
        self._health = JournalHealth()
        self._commit: GroupCommit[_Item, bool] = GroupCommit(
            self._write,
            size=lambda item: _message(item).size,
            max_items=MAX_GROUP_MESSAGES,
            max_bytes=MAX_GROUP_BYTES,
        )

    def put(self, message: Message, timeout_s: float) -> bool:
        """Journals a message; true if it is there already, waiting or set aside.

        Raises:
            QueueUnavailableError: full, unwritable, or not in time.
        """
        return self.wait(self.enqueue(message), timeout_s)

    def enqueue(self, message: Message) -> Ticket:
        """Begins to journal a message, after those that were enqueued before, and returns at once."""
        return self._commit.enqueue(message)

    def wait(self, ticket: Ticket, timeout_s: float) -> bool:
        """Waits for what `enqueue` began; returns and raises as `put` does."""
        return self._watch(lambda: self._wait(ticket, timeout_s))

    def put_aside(self, message: Message, reason: str, timeout_s: float) -> bool:
        """Journals a message that Redis refuses by itself; true if it is there already, waiting or set aside.

        Args:
            message: the one that Redis refuses.
            reason: Redis's reply.
            timeout_s: as for `put`.

        Raises:
            QueueUnavailableError: full, unwritable, or not in time.
        """
        return self.wait(self._commit.enqueue(SetAside(message, reason, now())), timeout_s)

    def oldest(
        self, max_messages: int, max_bytes: int = MAX_GROUP_BYTES, *, after: int = 0
    ) -> list[Spooled]:
        """The messages that wait longest, in the order of their arrival; none that is set aside.

        Args:
            max_messages: how many at most.
            max_bytes: of all of them together, roughly; a single message may have more.
            after: only those behind this place.

        Raises:
            QueueUnavailableError: the journal cannot be read.
        """
        try:
            return self._run(lambda: self._journal.oldest(max_messages, max_bytes, after))
        except QueueUnavailableError as error:
            self._health.reading_failed(error.detail)
            raise

    def last_place(self) -> int:
        """The greatest place of a message that waits; 0 if none does.

        Raises:
            QueueUnavailableError: the journal cannot be read.
        """
        return self._run(self._journal.last_place)

    def is_empty(self) -> bool:
        """Whether no message waits, and none is set aside.

        Raises:
            QueueUnavailableError: the journal cannot be read.
        """
        return self._run(self._journal.is_empty)

    def waiting_among(self, ids: Sequence[str]) -> set[str]:
        """Those of the messages with these ids, some hundreds at the most, that wait.

        Raises:
            QueueUnavailableError: the journal cannot be read.
        """
        return self._run(lambda: self._journal.waiting_among(ids))

    def remove(self, moved: Sequence[Spooled]) -> None:
        """Deletes messages that Redis has confirmed.

        Raises:
            QueueUnavailableError: the journal cannot be written; they may all still be there.
        """
        self._run(lambda: self._journal.remove(moved))

    def set_aside(self, spooled: Sequence[Spooled], reason: str) -> None:
        """Moves waiting messages to those that are set aside, all or none; the drainer skips these.

        A message that no longer waits is skipped.

        Args:
            spooled: as `oldest` returned them.
            reason: Redis's reply.

        Raises:
            QueueUnavailableError: the journal cannot be written; they may all still be waiting.
        """
        self._run(lambda: self._journal.set_aside(spooled, reason))

    def check(self) -> None:
        """Returns if a message of up to a page could be journalled now, or was a moment ago.

        Raises:
            QueueUnavailableError: it could not, or not in time.
        """
        if not self._health.is_proven():
            self._watch(lambda: self._run(self._journal.check, CHECK_TIMEOUT_S))

    def lead(self) -> bool:
        """Whether there is a journal, and this process is the one of the host that drains it.

        Called repeatedly, it also notices when a journal that failed can be used again.

        Raises:
            QueueUnavailableError: the journal cannot be used.
        """
        if self._health.is_to_retry():
            # A full journal is drained all the same.
            with suppress(QueueUnavailableError):
                self.check()
        self._health.check_readable()
        return self._run(self._journal.lead, CHECK_TIMEOUT_S)

    def close(self) -> None:
        """Closes this process's connection, once all that was put is written, or after `TIMEOUT_S` on a disk that hangs."""
        self._commit.close()
        try:
            self._thread.run(self._journal.close, TIMEOUT_S)
        except (sqlite3.Error, OSError) as error:
            log.warning("spool not closed", detail=str(error))

    def _wait(self, ticket: Ticket, timeout_s: float) -> bool:
        try:
            return self._commit.wait(ticket, timeout_s)
        except (sqlite3.Error, OSError) as error:
            metrics.count(metrics.SPOOL_FAILURES)
            raise _unavailable(error) from error

    def _watch(self, write: Callable[[], Result]) -> Result:
        try:
            result = write()
        except QueueUnavailableError as error:
            self._health.failed(error.detail)
            raise
        self._health.succeeded()
        return result

    def _write(self, group: Sequence[_Item]) -> list[bool]:
        began = time.monotonic()
        try:
            return self._thread.run(lambda: self._journal.put(group), TIMEOUT_S)
        finally:
            metrics.observe(metrics.SPOOL_COMMIT, time.monotonic() - began)
            self._log_notes()

    def _run(self, action: Callable[[], Result], timeout_s: float = TIMEOUT_S) -> Result:
        try:
            return self._thread.run(action, timeout_s)
        except (sqlite3.Error, OSError) as error:
            raise _unavailable(error) from error
        finally:
            self._log_notes()

    def _log_notes(self) -> None:
        # Logged here, since logging belongs to the loop's thread.
        while self._journal.notes:
            event, details = self._journal.notes.pop(0)
            log.error(event, **details)


def _message(item: _Item) -> Message:
    return item.message if isinstance(item, SetAside) else item


def _unavailable(error: Exception) -> QueueUnavailableError:
    return QueueUnavailableError(f"spool: {type(error).__name__}: {error}"[:300])
