"""The threads of a running consumer: starts them, and brings them to an end within a bound."""

import threading
import time
from collections.abc import Callable
from typing import Protocol

import redis

from listener.consumer.acknowledger import Acknowledger
from listener.consumer.caretaker import Caretaker
from listener.consumer.context import Context
from listener.consumer.log import log
from listener.consumer.reader import Reader
from listener.consumer.worker import Worker
from listener.redis_client.cluster import ClusterClient

# How long threads that have nothing to wait for may take to end.
JOIN_S = 2.0


class Part(Protocol):
    """What one thread does over and over."""

    def step(self) -> None:
        """Does it once; returns soon when there is nothing to do."""


class Engine:
    """Readers, workers, an acknowledger, a caretaker.

    One reader reads all partitions; in a Cluster, and where a plain address turns out to stand for
    several servers, there is one for each partition.
    """

    def __init__(self, context: Context) -> None:
        """Starts nothing yet."""
        self._context = context
        self._acknowledger = Acknowledger(context)
        ended = context.ended
        self._readers = [self._reader(numbers) for numbers in self._shares()]
        self._workers = [
            _thread(f"worker-{number}", Worker(context), ended)
            for number in range(context.options.concurrency)
        ]
        self._others = [
            _thread("acknowledger", self._acknowledger, ended),
            _thread("caretaker", Caretaker(context), ended),
        ]

    def start(self) -> None:
        """Starts every thread."""
        for thread in (*self._workers, *self._others, *self._readers):
            thread.start()

    def finish(self, hurry: Callable[[float], bool]) -> None:
        """Stops reading, lets what is in hand be handled, hands back the rest, and leaves the group.

        Args:
            hurry: waits for so many seconds, or less if there is no time left, and then says so.
        """
        self._context.stopping.set()
        deadline = time.monotonic() + self._context.options.shutdown_s
        while self._is_at_work() and time.monotonic() < deadline:
            if hurry(0.02):
                break
        self._context.ended.set()
        self._context.desk.close()
        # What a read brought after the rest is handed back would wait for a takeover.
        deadline = time.monotonic() + JOIN_S + self._context.options.block_s
        for thread in (*self._others, *self._readers):
            _join(thread, max(0.0, deadline - time.monotonic()))
        # One that is in a handler is left to itself: nothing can stop it.
        for thread in self._workers:
            _join(thread, 0.01)
        self._leave()

    def _shares(self) -> list[list[int]]:
        numbers = list(self._context.groups)
        # One command can wait for several streams, but not for several nodes.
        is_cluster = isinstance(self._context.client, ClusterClient)
        return [[number] for number in numbers] if is_cluster else [numbers]

    def _reader(self, numbers: list[int]) -> threading.Thread:
        reader = Reader(self._context, numbers, self._read_alone)
        return _thread(f"reader-{numbers[0]}", reader, self._context.stopping)

    def _read_alone(self, number: int) -> None:
        """Starts one more reader; called by another one's thread."""
        thread = self._reader([number])
        thread.start()
        self._readers.append(thread)

    def _is_at_work(self) -> bool:
        return self._context.desk.is_busy or any(thread.is_alive() for thread in self._readers)

    def _leave(self) -> None:
        self._acknowledger.step()
        unacknowledged = {delivery.partition for delivery in self._acknowledger.unsent}
        # Those that are known to fail come last, and the first failure is the last: there every
        # command takes its time limit.
        numbers = sorted(
            self._context.groups.keys() - unacknowledged, key=self._context.outages.is_failing
        )
        back = 0
        try:
            while numbers:
                back += self._leave_partition(numbers[0])
                del numbers[0]
        except redis.RedisError as error:
            detail = f"{type(error).__name__}: {error}"[:300]
            log.warning("redis fails; a partition is not left", partition=numbers[0], detail=detail)
        told = {"handed_back": back}
        if left := sorted(unacknowledged.union(numbers)):
            log.warning("stopped; others take over what was in hand", partitions=left, **told)
        else:
            log.info("stopped", **told)

    def _leave_partition(self, number: int) -> int:
        group, in_hand = self._context.groups[number], self._context.desk.in_hand()
        back = [delivery for delivery in in_hand if delivery.partition == number]
        group.hand_back(back)
        group.leave()
        return len(back)


def _join(thread: threading.Thread, timeout_s: float) -> None:
    # Where one thread could not be started, those after it were not either.
    if thread.ident is not None:
        thread.join(timeout_s)


def _thread(name: str, part: Part, until: threading.Event) -> threading.Thread:
    def run() -> None:
        while not until.is_set():
            try:
                part.step()
            except BaseException:  # noqa: BLE001
                # A thread that ended would leave a consumer that looks alive and does nothing.
                log.exception("the consumer has a fault", thread=name)
                until.wait(1)

    return threading.Thread(target=run, name=f"consumer-{name}", daemon=True)
