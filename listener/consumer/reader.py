"""Reads new messages, as far as there is room for them, and creates groups that are missing."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import redis

from listener.consumer.claims import MAX_REPLY_BYTES
from listener.consumer.maintenance import reclaim_own
from listener.consumer.outages import ConsecutiveFailures
from listener.consumer.redis_group import RedisGroup, is_missing
from listener.consumer.run_context import RunContext
from listener.queue import shards
from listener.queue.redis_errors import describe_error
from listener.redis_client.client import reset_connections
from listener.safe_logger import SafeLogger

log = SafeLogger("listener.consumer")

# The pause while there is no room for the rest of what is pending for this consumer already.
RECLAIM_AGAIN_S = 0.05
# Where a proxy refuses to block: how often to poll, and after how long to try blocking again.
POLL_S = 0.2
BLOCK_AGAIN_S = 60.0


class Reader:
    """One thread's task; no other thread reads its partitions.

    Where one command may not read several partitions (a Cluster or shards behind a plain address) it
    keeps one of them and hands the others to readers of their own.
    """

    def __init__(
        self, run: RunContext, partitions: Sequence[int], add_reader: Callable[[int], None]
    ) -> None:
        """Reads nothing yet; `add_reader` starts another reader for one partition."""
        self._run = run
        self._partitions = list(partitions)
        self._add_reader = add_reader
        self._polls_until = 0.0
        self._groups = {
            run.groups[number].stream.encode(): run.groups[number] for number in partitions
        }
        self._failures = ConsecutiveFailures(run.stopping.wait)
        self._has_read = False

    def step(self) -> None:
        """Reads once; waits briefly for room, and then for a message."""
        room = self._run.in_flight.room(self._partitions)
        if not room or self._run.stopping.is_set():
            return
        try:
            is_settled = self._reclaim_own()
            if is_settled or not self._run.options.ordered:
                self._read(room, blocks=is_settled)
            if not is_settled:
                self._run.stopping.wait(RECLAIM_AGAIN_S)
        except redis.RedisError as error:
            # The reply that was lost may have brought messages.
            for number in self._partitions:
                self._run.claims[number].is_settled = False
            self._recover(error)
        else:
            self._has_read = True
            self._failures.reset()
            self._run.outages.record_answer(self._partitions)
            self._run.outages.end("read", self._partitions)

    def _reclaim_own(self) -> bool:
        """Claims what is pending for this consumer and unknown to it; whether that was all."""
        is_all = True
        for number in self._partitions:
            if not self._run.claims[number].is_settled:
                is_settled, count = reclaim_own(self._run, number)
                is_all = is_all and is_settled
                if count:
                    # Progress, also where each message is too large for the reply to a read.
                    self._failures.reset()
        return is_all

    def _read(self, room: int, *, blocks: bool) -> None:
        """Raises redis.RedisError; messages may be pending for this consumer all the same."""
        block_s = self._run.options.block_s
        polls = time.monotonic() < self._polls_until
        block_ms = max(1, int(block_s * 1000)) if blocks and not polls else None
        count = max(1, min(room, self._run.read_size.size) // len(self._groups))
        try:
            streams = self._xreadgroup(count, block_ms)
        except redis.ResponseError as error:
            if polls or is_missing(error) or not self._starts_polling(error):
                raise
            return
        except (redis.ConnectionError, redis.TimeoutError):
            self._run.read_size.shrink()
            raise
        self._adapt_read_size(streams, count)
        for name, entries in streams:
            group = self._groups[name]
            self._run.in_flight.add(group.new_deliveries(entries))
            self._run.observer.received(len(entries), group.partition)
        if polls and not streams:
            self._run.stopping.wait(min(POLL_S, block_s))

    def _xreadgroup(self, count: int, block_ms: int | None) -> Any:
        return self._run.read_client.xreadgroup(
            self._run.group,
            self._run.consumer,
            {name.decode(): ">" for name in self._groups},
            count=count,
            block=block_ms,
        )

    def _adapt_read_size(self, streams: Any, count: int) -> None:
        """Has the next read bring less than MAX_REPLY_BYTES, if these messages are typical."""
        replies = [fields for _, entries in streams for _, fields in entries]
        size = sum(len(value) for fields in replies for value in fields.values())
        if size > MAX_REPLY_BYTES:
            self._run.read_size.limit(len(replies) * MAX_REPLY_BYTES // size)
        elif size < MAX_REPLY_BYTES * 3 // 4 and any(
            len(entries) >= count for _, entries in streams
        ):
            self._run.read_size.grow()

    def _starts_polling(self, error: "redis.ResponseError") -> bool:
        """Whether only blocking was refused. Raises redis.RedisError."""
        if self._read_error(self._groups):
            return False
        if not self._polls_until:
            detail = str(error)[:300]
            log.warning("redis refuses to wait for messages; the consumer polls", detail=detail)
        self._polls_until = time.monotonic() + BLOCK_AGAIN_S
        return True

    def _recover(self, error: "redis.RedisError") -> None:
        try:
            if is_missing(error):
                self._create_groups()
                return
        except redis.RedisError as another:
            error = another
        try:
            if isinstance(error, redis.ResponseError) and self._split():
                return
        except redis.RedisError as another:
            error = another
        self._run.outages.begin("read", self._partitions, error)
        reset_connections(self._run.read_client)
        self._failures.pause()

    def _create_groups(self) -> None:
        # Not at each start: a server that is full refuses the command even for groups that exist.
        created = [group for group in self._groups.values() if group.create()]
        for group in created:
            self._log_created(group)
        # Another consumer was quicker, or the server that was asked has only some of the streams.
        if not created and not self._split():
            # This may happen over and over.
            self._failures.pause()

    def _log_created(self, group: RedisGroup) -> None:
        name, number = self._run.group, group.partition
        if not self._has_read:
            log.info("consumer group made", group=name, partition=number)
        else:
            log.warning(
                "the stream or the consumer group was deleted; made again, from the beginning",
                group=name,
                partition=number,
            )

    def _split(self) -> bool:
        """Keeps one partition, if only reading several at once is refused. Raises redis.RedisError."""
        if len(self._groups) == 1:
            return False
        error = self._read_error(self._groups)
        # A group that is missing where it is read alone is created there.
        single_errors = (self._read_error([name]) for name in self._groups)
        if not error or not any(not single or is_missing(single) for single in single_errors):
            return False
        log.warning(
            "redis takes no command for several partitions; each is read by itself",
            partitions=self._partitions,
            detail=describe_error(error),
            advice=shards.ADVICE,
        )
        while len(self._partitions) > 1:
            # One at a time: a partition whose reader cannot be started is still read here.
            number = self._partitions[-1]
            self._add_reader(number)
            self._partitions.pop()
            del self._groups[self._run.groups[number].stream.encode()]
        return True

    def _read_error(self, names: Iterable[bytes]) -> "redis.ResponseError | None":
        """The error that a read of these streams is refused with, if any."""
        return shards.try_read(
            self._run.read_client,
            [name.decode() for name in names],
            group=self._run.group,
            consumer=self._run.consumer,
        )
