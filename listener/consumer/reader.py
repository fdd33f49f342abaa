"""Reads what is new, as far as there is room for it."""

from collections.abc import Sequence
from typing import Any

import redis

from listener.consumer.context import Context
from listener.consumer.group import Group, is_missing
from listener.consumer.log import log
from listener.consumer.outages import Attempts
from listener.queue.connection import renew


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
            if not self._is_sure:
                self._make_sure()
            self._read(room)
        except redis.RedisError as error:
            self._is_sure = False
            if not is_missing(error):
                self._context.outages.begin("read", self._partitions, error)
                renew(self._context.reading)
                self._attempts.failed()
        else:
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

    def _make_sure(self) -> None:
        """That the groups are there, and that nothing is pending for us of which we do not know."""
        for group in self._groups.values():
            if group.create():
                self._tell_made(group)
            self._recover(group)
        self._is_new, self._is_sure = False, True

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

    def _recover(self, group: Group) -> None:
        desk = self._context.desk
        in_hand = {delivery.key for delivery in desk.in_hand()}
        taken = group.recover(desk.allowance(group.partition) or 1, in_hand)
        desk.put(taken.deliveries)
