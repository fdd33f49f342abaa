"""Reads what is new, as far as there is room for it."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import redis

from listener.consumer.context import Context
from listener.consumer.group import MOST_BYTES, Group, is_missing
from listener.consumer.log import log
from listener.consumer.outages import Attempts
from listener.consumer.takeover import take_back
from listener.queue import shards
from listener.redis_client.client import reset_connections

# Until there is room for more of what is pending for us already.
SOON_S = 0.05
# Where a proxy takes no command that waits: how often to look, and when to try waiting again.
POLL_S = 0.2
POLLING_S = 60.0


class Reader:
    """One thread's; it alone reads its partitions. Makes groups that are not there (any more).

    Where one command may not read several partitions (a Cluster or shards behind a plain address) it
    keeps one of them and gives the others away, each to a reader of its own.
    """

    def __init__(
        self, context: Context, partitions: Sequence[int], give_away: Callable[[int], None]
    ) -> None:
        """Reads nothing yet.

        Args:
            context: what the threads share.
            partitions: which to read.
            give_away: has another thread read a partition.
        """
        self._context = context
        self._partitions = list(partitions)
        self._give_away = give_away
        self._polling_until = 0.0
        self._groups = {context.groups[n].stream.encode(): context.groups[n] for n in partitions}
        self._attempts = Attempts(context.stopping.wait)
        self._is_new = True

    def step(self) -> None:
        """Reads once; waits a moment for room, and then for a message."""
        room = self._context.desk.room(self._partitions)
        if not room or self._context.stopping.is_set():
            return
        try:
            is_settled = self._take_back()
            if is_settled or not self._context.options.ordered:
                self._read(room, waits=is_settled)
            if not is_settled:
                self._context.stopping.wait(SOON_S)
        except redis.RedisError as error:
            self._context.claims.unsettle(self._partitions)
            self._mend(error)
        else:
            self._is_new = False
            self._attempts.succeeded()
            self._context.outages.end("read", self._partitions)

    def _read(self, room: int, *, waits: bool) -> None:
        """Raises redis.RedisError; then some may be pending for us all the same."""
        block_s = self._context.options.block_s
        polls = time.monotonic() < self._polling_until
        try:
            found = self._ask(room, max(1, int(block_s * 1000)) if waits and not polls else None)
        except redis.ResponseError as error:
            if polls or is_missing(error) or not self._begins_to_poll(error):
                raise
            return
        except (redis.ConnectionError, redis.TimeoutError):
            self._context.portion.shrink()
            raise
        self._adjust(found, self._count(room))
        for name, entries in found:
            group = self._groups[name]
            self._context.desk.put(group.fresh(entries))
            self._context.observer.received(len(entries), group.partition)
        if polls and not found:
            self._context.stopping.wait(min(POLL_S, block_s))

    def _adjust(self, found: Any, count: int) -> None:
        """Has the next read ask for as many messages as bring less than MOST_BYTES, if these are typical."""
        replies = [fields for _, entries in found for _, fields in entries]
        size = sum(len(value) for fields in replies for value in fields.values())
        if size > MOST_BYTES:
            self._context.portion.fit(len(replies) * MOST_BYTES // size)
        elif size < MOST_BYTES * 3 // 4 and any(len(entries) >= count for _, entries in found):
            self._context.portion.grow()

    def _ask(self, room: int, block_ms: int | None) -> Any:
        return self._context.reading.xreadgroup(
            self._context.group,
            self._context.consumer,
            {name.decode(): ">" for name in self._groups},
            count=self._count(room),
            block=block_ms,
        )

    def _count(self, room: int) -> int:
        """How many messages to ask for, of each partition."""
        return max(1, min(room, self._context.portion.size) // len(self._groups))

    def _begins_to_poll(self, error: "redis.ResponseError") -> bool:
        """Whether only the waiting was refused. Raises redis.RedisError."""
        if self._refusal(self._groups):
            return False
        if not self._polling_until:
            detail = str(error)[:300]
            log.warning("redis refuses to wait for messages; the consumer polls", detail=detail)
        self._polling_until = time.monotonic() + POLLING_S
        return True

    def _divides(self) -> bool:
        """Gives partitions away, if only reading several at once is refused.

        Raises redis.RedisError.
        """
        if len(self._groups) == 1:
            return False
        error = self._refusal(self._groups)
        # A group that is missing where it is read alone is made there.
        alone = (self._refusal([name]) for name in self._groups)
        if not error or not any(not each or is_missing(each) for each in alone):
            return False
        log.warning(
            "redis takes no command for several partitions; each is read by itself",
            partitions=self._partitions,
            detail=f"{type(error).__name__}: {error}"[:300],
            advice=shards.ADVICE,
        )
        while len(self._partitions) > 1:
            # One after the other: what could not be given away is still read here.
            number = self._partitions[-1]
            self._give_away(number)
            self._partitions.pop()
            del self._groups[self._context.groups[number].stream.encode()]
        return True

    def _refusal(self, names: Iterable[bytes]) -> "redis.ResponseError | None":
        return shards.reads(
            self._context.reading,
            [name.decode() for name in names],
            group=self._context.group,
            consumer=self._context.consumer,
        )

    def _take_back(self) -> bool:
        """Takes what is pending for us and unknown to us, if there may be any; whether that was all."""
        is_all = True
        for group in self._groups.values():
            if not self._context.claims.is_settled(group.partition):
                is_last, count = take_back(self._context, group)
                is_all = is_all and is_last
                if count:
                    # Each message may be too large for a reply to a read: that is progress all the same.
                    self._attempts.succeeded()
        return is_all

    def _mend(self, error: "redis.RedisError") -> None:
        try:
            if is_missing(error):
                self._make_groups()
                return
        except redis.RedisError as another:
            error = another
        try:
            if isinstance(error, redis.ResponseError) and self._divides():
                return
        except redis.RedisError as another:
            error = another
        self._context.outages.begin("read", self._partitions, error)
        reset_connections(self._context.reading)
        self._attempts.failed()

    def _make_groups(self) -> None:
        # Only now, and not at each start: a server that is full refuses it even for those it has.
        made = [group for group in self._groups.values() if group.create()]
        for group in made:
            self._tell_made(group)
        # Another consumer was quicker, or the server that was asked has only some of the streams.
        if not made and not self._divides():
            # Should it go on like this, it must not go on in haste.
            self._attempts.failed()

    def _tell_made(self, group: Group) -> None:
        name, number = self._context.group, group.partition
        if self._is_new:
            log.info("consumer group made", group=name, partition=number)
        else:
            log.warning(
                "the stream or the consumer group was deleted; made again, from the beginning",
                group=name,
                partition=number,
            )
