"""Serialises a consumer's claims, and remembers where the reply to one may have been lost."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import redis


class Claims:
    """Threads share it.

    Redis carries out a claim before it sends the reply. If the connection breaks on that reply, the
    messages are pending for this consumer, which does not know them, and are idle for no time: nobody
    would take them over before `takeover_idle_s` has passed once more. Such a partition is unsettled
    until the consumer has taken back what is pending for it, and so is each one at the beginning.
    """

    def __init__(self) -> None:
        self._locks: dict[int, threading.Lock] = {}
        self._settled: set[int] = set()

    @contextmanager
    def one_at_a_time(self, partition: int) -> Iterator[None]:
        """Surrounds a claim and what is done with its reply; a redis.RedisError unsettles the partition.

        Of two claims at the same time the second could bring what the first has brought already and
        what is done by now: it would be handled twice.
        """
        with self._locks.setdefault(partition, threading.Lock()):
            try:
                yield
            except redis.RedisError:
                self.unsettle([partition])
                raise

    def is_settled(self, partition: int) -> bool:
        """Whether the consumer knows of everything that is pending for it."""
        return partition in self._settled

    def settle(self, partition: int) -> None:
        """Everything that is pending for this consumer is in its hand."""
        self._settled.add(partition)

    def unsettle(self, partitions: Iterable[int]) -> None:
        """A reply that may have brought messages was lost."""
        self._settled.difference_update(partitions)
