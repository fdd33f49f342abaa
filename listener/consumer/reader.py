"""Reads what is new, as far as there is room for it."""

from collections.abc import Sequence
from typing import Any

import redis

from listener.consumer.context import Context
from listener.consumer.group import Group, is_missing
from listener.consumer.log import log
from listener.consumer.outages import Attempts
from listener.consumer.takeover import take_back
from listener.queue.connection import renew

# With `ordered`, until there is room for more of what is older than what is new.
SOON_S = 0.05


class Reader:
    """One thread's; it alone reads its partitions. Makes groups that are not there (any more)."""

    def __init__(self, context: Context, partitions: Sequence[int]) -> None:
        """Takes what the threads share, and which partitions to read."""
        self._context = context
        self._partitions = partitions
        self._groups = {context.groups[n].stream.encode(): context.groups[n] for n in partitions}
        self._attempts = Attempts(context.stopping.wait)
        self._is_new = True
        self._is_sure = False

    def step(self) -> None:
        """Reads once; waits a moment for room, and then for a message."""
        room = self._context.desk.room(self._partitions)
        if not room or self._context.stopping.is_set():
            return
        try:
            self._is_sure = self._is_sure or self._take_back()
            if self._is_sure or not self._context.options.ordered:
                self._read(room)
            else:
                self._context.stopping.wait(SOON_S)
        except redis.RedisError as error:
            self._is_sure = False
            self._mend(error)
        else:
            self._is_new = False
            self._attempts.succeeded()
            self._context.outages.end("read", self._partitions)

    def _read(self, room: int) -> None:
        """Raises redis.RedisError; then some may be pending for us all the same."""
        options = self._context.options
        found: Any = self._context.reading.xreadgroup(
            self._context.group,
            self._context.consumer,
            {name.decode(): ">" for name in self._groups},
            count=max(1, room // len(self._groups)),
            block=max(1, int(options.block_s * 1000)),
        )
        for name, entries in found:
            group = self._groups[name]
            self._context.desk.put(group.fresh(entries))
            self._context.observer.received(len(entries), group.partition)

    def _take_back(self) -> bool:
        """Sees that nothing is pending for us of which we do not know; whether that was all."""
        back = [take_back(self._context, group) for group in self._groups.values()]
        return all(back)

    def _mend(self, error: "redis.RedisError") -> None:
        try:
            if is_missing(error):
                self._make_groups()
                return
        except redis.RedisError as another:
            error = another
        self._context.outages.begin("read", self._partitions, error)
        renew(self._context.reading)
        self._attempts.failed()

    def _make_groups(self) -> None:
        # Only now, and not at each start: a server that is full refuses it even for those it has.
        made = [group for group in self._groups.values() if group.create()]
        for group in made:
            self._tell_made(group)
        if not made:
            # Another consumer was quicker; should it go on like this, it must not go on in haste.
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
