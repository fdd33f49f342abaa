"""Writes to one stream in groups and in order; the stream's script, enqueue.lua, decides what is a duplicate."""

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple, TypeGuard

import redis
from redis.exceptions import NoScriptError

from listener.errors import MessageRefusedError, QueueUnavailableError
from listener.queue.batches import Batcher, BatchTooLargeError, Outcome
from listener.queue.down_partitions import DownPartitions
from listener.queue.durability import DurableWriter
from listener.queue.fingerprints import StringFingerprints
from listener.queue.keys import (
    ARRIVALS_TTL_S,
    Partition,
    counter_field,
    fingerprint_field,
    hour_of,
    minute_of,
)
from listener.queue.redis_errors import Blame, blame, describe_error, unavailable
from listener.redis_client.script import Script
from listener.runtime.group_commit import GroupCommit, Slot

# Bounds of one script call: Redis serves no other client while it runs.
MAX_BATCH_MESSAGES = 256
MAX_BATCH_BYTES = 4 * 2**20
# How often an entry is tried alone before it counts as refused: by an error reply, or because the connection
# was cut or timed out each time. Between two tries a check has to succeed.
TRIES_REFUSED = 2
TRIES_UNANSWERED = 3
size_of = attrgetter("size")


class Entry(NamedTuple):
    """What is added to a stream.

    Attributes:
        fingerprints: the hash that remembers it.
        message_id: what it is recognised by there; empty where the script decides by the fields.
        kind: what it is counted as.
        fields: returns names and values in turn. Called for a whole group at once, which takes a third of the
            time of as many calls in between other work.
        size: roughly, in bytes.
        give_up: sends the entry elsewhere when its writer gives up on Redis, and returns at once. Called in
            the order of submission, before any later entry is submitted, and only in an outage.
    """

    fingerprints: str
    message_id: str
    kind: str
    fields: Callable[[], Sequence[str | bytes]]
    size: int
    give_up: Callable[[], None] = lambda: None


class Receipt(NamedTuple):
    """A message is stored: its entry in the stream, and whether it was there already."""

    entry_id: str
    duplicate: bool


class Target(NamedTuple):
    """Where to write.

    Attributes:
        stream: its key.
        script: adds to it.
        max_length: of the stream, roughly; 0: unbounded.
        window_s: how long a fingerprint is remembered.
        strings: whether fingerprints are string keys as well; None: never.
    """

    partition: Partition
    stream: str
    script: Script
    max_length: int
    window_s: int
    strings: StringFingerprints | None = None


class StreamWriter:
    """Writes the entries of one stream, in the order of their submission. Threads share it.

    With `down_partitions` this order holds across an outage: the outage begins and every entry without a
    result is given up in one step, and until the outage ends every later entry is given up at once.
    """

    def __init__(
        self,
        target: Target,
        durable: DurableWriter,
        *,
        check: Callable[[], None],
        clock: Callable[[], float] = time.time,
        observe: Callable[[int], None] = lambda _: None,
        down_partitions: DownPartitions | None = None,
    ) -> None:
        """Starts nothing yet.

        Args:
            target: where to write.
            durable: sends the writes.
            check: raises QueueUnavailableError if writing is impossible.
            clock: seconds since 1970.
            observe: is called with the size of each group.
            down_partitions: where outages are recorded; None: each entry is tried.
        """
        self._target = target
        self._durable = durable
        self._check = check
        self._clock = clock
        self._observe = observe
        self._down_partitions = down_partitions
        # Held while an entry is submitted, and while all of them are given up.
        self._order = threading.Lock()
        self._closing = threading.Event()
        self._batcher: Batcher[Entry, Receipt] = Batcher(size_of, MAX_BATCH_BYTES)
        self._write_once = partial(self._write, retries=False)
        self._commit: GroupCommit[Entry, Outcome[Receipt]] = GroupCommit(
            self._write_group,
            size=size_of,
            max_items=MAX_BATCH_MESSAGES,
            max_bytes=MAX_BATCH_BYTES,
        )

    def put(self, entry: Entry, timeout_s: float) -> Receipt:
        """Adds an entry, in a group with others that are submitted at the same time.

        Raises:
            MessageRefusedError: Redis takes other entries, but not this one.
            QueueUnavailableError: Redis did not confirm it; it may be there all the same.
        """
        slot = self._submit(entry)
        try:
            if self._down_partitions and not slot.done.wait(timeout_s):
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

    def put_all(self, entries: Sequence[Entry]) -> list[Outcome[Receipt]]:
        """Adds entries that no request waits for, and tries those again that get no reply.

        Returns for each entry what `put` would return or raise.
        """
        return self._batcher.write(entries, partial(self._write, retries=True))

    def give_up(self, problem: QueueUnavailableError) -> None:
        """Begins an outage: every entry without a result is given up in its turn, and then its `put` raises."""
        with self._order:
            self._give_up(problem.detail)

    def stop(self) -> None:
        """Has `put_all` try nothing more."""
        self._closing.set()

    def close(self) -> None:
        """Ends the thread once all that was submitted is written."""
        self._commit.close()

    def _submit(self, entry: Entry) -> Slot[Entry, Outcome[Receipt]]:
        with self._order:
            down = self._down_partitions
            if down and self._target.partition.number in down.numbers:
                entry.give_up()
                raise QueueUnavailableError("redis is known to be down")
            return self._commit.enqueue(entry)

    def _write_group(self, group: Sequence[Entry]) -> list[Outcome[Receipt]]:
        self._observe(len(group))
        outcomes = self._batcher.write(group, self._write_once)
        if self._down_partitions and _is_outage(outcomes[-1]):
            self._give_up_rest(outcomes, outcomes[-1].detail)
        return outcomes

    def _give_up_rest(self, outcomes: Sequence[Outcome[Receipt]], detail: str) -> None:
        """Gives up the entries of a group that an outage left unwritten, before their submitters see the error."""
        settled = next(at for at, outcome in enumerate(outcomes) if _is_outage(outcome))
        with self._order:
            # Otherwise all of them timed out before, and the outage that began then may be over.
            if self._commit.is_awaited(settled):
                self._give_up(detail, settled)

    def _give_up_late(self, slot: Slot[Entry, Outcome[Receipt]]) -> None:
        with self._order:
            if not slot.done.is_set():
                self._give_up("TimeoutError: the write took too long")

    def _give_up(self, detail: str, settled: int = 0) -> None:
        if self._down_partitions:
            self._down_partitions.mark_down(self._target.partition.number, detail)
        for slot in self._commit.abandon(settled):
            slot.item.give_up()
            slot.fail(QueueUnavailableError(detail))

    def _write(self, batch: Sequence[Entry], *, retries: bool) -> list[Receipt]:
        """Writes a batch; see `Batcher.write`."""
        try:
            return self._try(batch, retries=retries)
        except (redis.RedisError, UnicodeError) as error:
            self._raise_in_outage(error, batch, retries=retries)
            if len(batch) > 1:
                raise BatchTooLargeError from error
            return [self._retry_alone(batch[0], error, retries=retries)]

    def _retry_alone(self, entry: Entry, error: Exception, *, retries: bool) -> Receipt:
        unanswered = TRIES_UNANSWERED if retries else 1
        for _ in range((TRIES_REFUSED if blame(error) is Blame.WRITE else unanswered) - 1):
            try:
                return self._try([entry], retries=retries)[0]
            except (redis.RedisError, UnicodeError) as again:
                self._raise_in_outage(again, [entry], retries=retries)
                error = again
        detail = describe_error(error)
        raise MessageRefusedError(detail, certain=blame(error) is Blame.WRITE) from error

    def _raise_in_outage(self, error: Exception, batch: Sequence[Entry], *, retries: bool) -> None:
        """Returns if Redis would take other entries now."""
        if isinstance(error, redis.TimeoutError) and not retries:
            # The time of the requests that wait is spent.
            self._batcher.shrink(batch)
            raise unavailable(error) from error
        if blame(error) is Blame.SERVER:
            raise unavailable(error) from error
        self._check()

    def _try(self, entries: Sequence[Entry], *, retries: bool) -> list[Receipt]:
        """Calls the script once; raises redis.RedisError, UnicodeError or QueueUnavailableError."""
        if retries and self._closing.is_set():
            raise QueueUnavailableError("the service stops")
        replies = iter(self._call_script(self._arguments(entries)))
        return [
            Receipt(entry_id.decode(), known == 1)
            for entry_id, known in zip(replies, replies, strict=True)
        ]

    def _arguments(self, entries: Sequence[Entry]) -> list[Any]:
        """The number of keys, the keys and the arguments of the script."""
        partition, stream, _, max_length, window_s, strings = self._target
        now = self._clock()
        minute = minute_of(now)
        with_strings = strings is not None and strings.are_used(now)
        keys = [stream, partition.arrival_counts(hour_of(now))]
        args: list[Any] = [window_s, max_length, ARRIVALS_TTL_S, int(now * 1000), 1 + with_strings]
        for entry in entries:
            keys.append(entry.fingerprints)
            if with_strings:
                keys.append(partition.fingerprint_string(entry.message_id))
            fields = entry.fields()
            args += (counter_field(minute, entry.kind), fingerprint_field(entry.message_id))
            args += (len(fields), *fields)
        return [len(keys), *keys, *args]

    def _call_script(self, args: Sequence[Any]) -> Any:
        partition, script = self._target.partition, self._target.script
        try:
            return self._durable.send(partition, "EVALSHA", script.sha, *args)
        except NoScriptError:
            # A new or restarted server: it learns the script now.
            return self._durable.send(partition, "EVAL", script.text, *args)


def _is_outage(outcome: Outcome[Receipt]) -> TypeGuard[QueueUnavailableError]:
    unavailable = isinstance(outcome, QueueUnavailableError)
    return unavailable and not isinstance(outcome, MessageRefusedError)
