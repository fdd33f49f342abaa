"""Writes to one stream: what arrives during a write goes out together in the next, in portions that Redis takes."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple, TypeGuard

import redis
from redis.exceptions import NoScriptError

from listener.errors import MessageRefusedError, QueueUnavailableError
from listener.queue.batches import Batcher, BatchTooLargeError, Outcome
from listener.queue.confirmed import DurableWriter
from listener.queue.down_partitions import DownPartitions
from listener.queue.keys import ARRIVALS_TTL_S, Partition, counter_field, hour_of
from listener.queue.redis_errors import Blame, blame, unavailable
from listener.redis_client.script import Script
from listener.runtime.group_commit import GroupCommit, Slot

# Bounds of one script call: Redis serves nobody else while it runs.
MAX_BATCH_MESSAGES = 256
MAX_BATCH_BYTES = 4 * 2**20
size_of = attrgetter("size")
# How often an entry is tried alone before it counts as refused: by an answer, or because the connection was
# cut or the time ran out each time. Between two tries a check has to succeed.
TRIES_ANSWERED = 2
TRIES_UNANSWERED = 3


class Entry(NamedTuple):
    """What is added to a stream.

    Attributes:
        seen: the key that remembers its fingerprint.
        kind: what it is counted as.
        fields: makes names and values in turn. Called for a whole group at once, which takes a third of the time that
            as many calls between other work take.
        size: roughly, in bytes.
        give_up: sends the entry elsewhere when its lane gives up on Redis; it returns at once. Lanes that know
            of outages call it, in the order of submission, before any later entry is submitted.
    """

    seen: str
    kind: str
    fields: Callable[[], Sequence[str | bytes]]
    size: int
    give_up: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Receipt:
    """A message is kept: its entry in the stream, and whether it was there already."""

    entry_id: str
    duplicate: bool


@dataclass(frozen=True)
class Target:
    """A stream of a partition, and how it is written to.

    Attributes:
        stream: its key.
        bound: its greatest length, roughly; 0: unbounded.
        window_s: how long a fingerprint is remembered.
    """

    where: Partition
    stream: str
    bound: int
    window_s: int


class StreamWriter:
    """Writes the entries of one stream, in the order in which they were submitted. Threads share it.

    A lane that knows of outages keeps this order where entries go elsewhere: the outage begins and all
    puts without a result are given up in one step, and until the outage ends every later put is given up at once.
    """

    def __init__(
        self,
        target: Target,
        confirmed: DurableWriter,
        script: Script,
        *,
        check: Callable[[], None],
        clock: Callable[[], float] = time.time,
        observe: Callable[[int], None] = lambda _: None,
        outages: DownPartitions | None = None,
    ) -> None:
        """Starts nothing yet.

        Args:
            target: where to write.
            confirmed: sends a write, and waits until it is durable.
            script: adds entries.
            check: returns if writing is possible at all, or raises QueueUnavailableError.
            clock: seconds since 1970.
            observe: is given the size of each group.
            outages: which partitions are down; None: each put finds out by itself.
        """
        self._target = target
        self._confirmed = confirmed
        self._script = script
        self._check = check
        self._clock = clock
        self._observe = observe
        self._outages = outages
        # Held while an entry is submitted, and while all of them are given up.
        self._order = threading.Lock()
        self._closing = threading.Event()
        self._portions: Batcher[Entry, Receipt] = Batcher(size_of, MAX_BATCH_BYTES)
        self._commit: GroupCommit[Entry, Outcome[Receipt]] = GroupCommit(
            self._write_group,
            size=size_of,
            max_items=MAX_BATCH_MESSAGES,
            max_bytes=MAX_BATCH_BYTES,
        )

    def put(self, entry: Entry, timeout_s: float) -> Receipt:
        """Adds an entry, together with what others put meanwhile.

        Raises:
            MessageRefusedError: Redis takes others, but not this one.
            QueueUnavailableError: Redis did not confirm it; it may be there all the same.
        """
        slot = self._submit(entry)
        try:
            if self._outages and not slot.done.wait(timeout_s):
                self._give_up_late(slot)
            outcome = self._commit.wait(slot, timeout_s)
        except (redis.RedisError, TimeoutError, InterruptedError) as error:
            raise unavailable(error) from error
        finally:
            # As in `GroupCommit.wait`.
            del slot
        if isinstance(outcome, QueueUnavailableError):
            raise outcome
        return outcome

    def give_up(self, problem: QueueUnavailableError) -> None:
        """Begins an outage: every put that has no result raises, after its entry was given up in its turn."""
        with self._order:
            self._give_up(problem.detail)

    def put_all(self, entries: Sequence[Entry]) -> list[Outcome[Receipt]]:
        """Adds entries for which nobody waits: one that gets no answer is tried again.

        For each of them what `put` would return or raise.
        """
        return self._portions.write(entries, lambda portion: self._write(portion, patient=True))

    def stop(self) -> None:
        """Has `put_all` try nothing more."""
        self._closing.set()

    def close(self) -> None:
        """Ends the thread, once what was put is written."""
        self._commit.close()

    def _write_group(self, group: Sequence[Entry]) -> list[Outcome[Receipt]]:
        self._observe(len(group))
        outcomes = self._portions.write(group, lambda portion: self._write(portion, patient=False))
        if self._outages:
            self._give_up_rest(outcomes)
        return outcomes

    def _submit(self, entry: Entry) -> Slot[Entry, Outcome[Receipt]]:
        with self._order:
            if self._is_down():
                entry.give_up()
                raise QueueUnavailableError("redis is known to be down")
            return self._commit.enqueue(entry)

    def _is_down(self) -> bool:
        return self._outages is not None and self._target.where.number in self._outages.down

    def _give_up_rest(self, outcomes: Sequence[Outcome[Receipt]]) -> None:
        """Gives up what an outage left of a group, before its submitters learn of it."""
        if not outcomes or not _is_outage(last := outcomes[-1]):
            return
        settled = next(at for at, outcome in enumerate(outcomes) if _is_outage(outcome))
        with self._order:
            # Otherwise the group's time ran out before, and the outage that began then may be over.
            if self._commit.is_awaited(settled):
                self._give_up(last.detail, settled)

    def _give_up_late(self, slot: Slot[Entry, Outcome[Receipt]]) -> None:
        with self._order:
            if not slot.done.is_set():
                self._give_up("TimeoutError: the write took too long")

    def _give_up(self, detail: str, settled: int = 0) -> None:
        if self._outages:
            self._outages.mark_down(self._target.where.number, detail)
        for slot in self._commit.abandon(settled):
            slot.item.give_up()
            slot.fail(QueueUnavailableError(detail))

    def _write(self, portion: Sequence[Entry], *, patient: bool) -> list[Receipt]:
        """Writes a portion; see `Batcher.write`."""
        self._raise_if_closing(patient=patient)
        try:
            return self._add(portion)
        except (redis.RedisError, UnicodeError) as error:
            self._raise_outage(error, portion, patient=patient)
            if len(portion) > 1:
                raise BatchTooLargeError from error
            return [self._add_alone(portion[0], error, patient=patient)]

    def _add_alone(self, entry: Entry, error: Exception, *, patient: bool) -> Receipt:
        for _ in range(_tries(error, patient=patient) - 1):
            self._raise_if_closing(patient=patient)
            try:
                return self._add([entry])[0]
            except (redis.RedisError, UnicodeError) as again:
                self._raise_outage(again, [entry], patient=patient)
                error = again
        detail = unavailable(error).detail
        raise MessageRefusedError(detail, certain=blame(error) is Blame.WRITE) from error

    def _raise_if_closing(self, *, patient: bool) -> None:
        if patient and self._closing.is_set():
            raise QueueUnavailableError("the service stops")

    def _raise_outage(self, error: Exception, portion: Sequence[Entry], *, patient: bool) -> None:
        """Returns if others would be taken now."""
        if isinstance(error, redis.TimeoutError) and not patient:
            # The time of those who wait is spent.
            self._portions.shrink(portion)
            raise unavailable(error) from error
        if blame(error) is Blame.SERVER:
            raise unavailable(error) from error
        self._check()

    def _add(self, entries: Sequence[Entry]) -> list[Receipt]:
        """Calls the script once. Raises redis.RedisError, UnicodeError or QueueUnavailableError."""
        target, now = self._target, self._clock()
        keys = [target.stream, target.where.arrival_counts(hour_of(now))]
        keys += [entry.seen for entry in entries]
        words: list[Any] = [len(keys), *keys, target.window_s, target.bound, ARRIVALS_TTL_S]
        for entry in entries:
            fields = entry.fields()
            words += [counter_field(now, entry.kind), len(fields), *fields]
        replies = self._call(words)
        pairs = zip(replies[::2], replies[1::2], strict=True)
        return [Receipt(entry_id.decode(), duplicate=bool(known)) for entry_id, known in pairs]

    def _call(self, words: Sequence[Any]) -> Any:
        where = self._target.where
        try:
            return self._confirmed.send(where, "EVALSHA", self._script.sha, *words)
        except NoScriptError:
            # A new or restarted server: it learns the script now.
            return self._confirmed.send(where, "EVAL", self._script.text, *words)


def _is_outage(outcome: Outcome[Receipt]) -> TypeGuard[QueueUnavailableError]:
    unavailable = isinstance(outcome, QueueUnavailableError)
    return unavailable and not isinstance(outcome, MessageRefusedError)


def _tries(error: Exception, *, patient: bool) -> int:
    if blame(error) is Blame.WRITE:
        return TRIES_ANSWERED
    return TRIES_UNANSWERED if patient else 1
