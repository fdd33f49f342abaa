"""Starts the threads of a running consumer, and ends them within a time limit."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import redis

from listener.consumer.acknowledger import Acknowledger
from listener.consumer.deliveries.delivery import Delivery
from listener.consumer.deliveries.settlement import Settlement
from listener.consumer.deliveries.worker import DeliveryWorker
from listener.consumer.handlers.overdue import Overdue
from listener.consumer.maintenance import Maintenance
from listener.consumer.monitoring.health import Health
from listener.consumer.reader import Reader
from listener.consumer.run_context import RunContext
from listener.queue.redis_errors import describe_error
from listener.redis_client.cluster import ClusterClient
from listener.safe_logger import SafeLogger

log = SafeLogger("listener.consumer")

# How long threads that wait for nothing may take to end.
JOIN_S = 2.0


class Task(Protocol):
    """What one thread does repeatedly."""

    def step(self) -> None:
        """Does it once; returns soon when there is nothing to do."""


class ConsumerThreads:
    """The threads of one run: readers, workers, an acknowledger, and one for maintenance.

    One reader reads all partitions. In a Cluster, and where a plain address turns out to lead to
    several servers, each partition has a reader of its own.
    """

    def __init__(self, run: RunContext) -> None:
        """Starts nothing yet."""
        self._run = run
        self._acknowledger = Acknowledger(run)
        numbers = list(run.groups)
        # One command can wait for several streams, but not for several nodes.
        is_cluster = isinstance(run.client, ClusterClient)
        shares = [[number] for number in numbers] if is_cluster else [numbers]
        self._readers = [self._reader(share) for share in shares]
        self._workers = [
            _thread(f"worker-{number}", DeliveryWorker(run), run.ended)
            for number in range(_workers_needed(run))
        ]
        self._others = [
            _thread("acknowledger", self._acknowledger, run.ended),
            _thread("maintenance", Maintenance(run), run.ended),
        ]

    def start(self) -> None:
        """Starts every thread."""
        for thread in (*self._workers, *self._others, *self._readers):
            thread.start()

    def finish(self, stop_requested_again: Callable[[float], bool]) -> None:
        """Stops reading, waits for what is in flight, hands back the rest, and leaves the group.

        Args:
            stop_requested_again: waits for that many seconds, or until a second request to stop;
                returns whether there was one.
        """
        run = self._run
        run.stopping.set()
        deadline = time.monotonic() + run.options.shutdown_s
        while self._is_busy() and time.monotonic() < deadline:
            if stop_requested_again(0.02):
                break
        run.ended.set()
        run.in_flight.close()
        # An async handler that ends when it is cancelled now was beyond its time nevertheless.
        overdue = self._overdue()
        run.event_loop.cancel()
        # The readers end first: what a read brought after the rest is handed back would wait for a takeover.
        deadline = time.monotonic() + JOIN_S + run.options.block_s
        for thread in (*self._others, *self._readers):
            _join(thread, max(0.0, deadline - time.monotonic()))
        # A worker that is in a handler is left behind: nothing can stop it.
        for thread in self._workers:
            _join(thread, 0.01)
        run.event_loop.join(max(0.0, deadline - time.monotonic()))
        self._leave(overdue)

    def health(self) -> Health:
        """The consumer as it is now."""
        run = self._run
        threads = (*self._workers, *self._others, *self._readers, *run.event_loop.threads)
        dead = (thread.name for thread in threads if thread.ident and not thread.is_alive())
        is_running = not run.stopping.is_set()
        return Health(
            is_running=is_running,
            in_hand=len(run.in_flight.keys()),
            dead_threads=tuple(dead) if is_running else (),
            redis_silent_s=max(map(run.outages.silent_s, run.groups)) if is_running else 0.0,
            overdue=run.running.overdue,
        )

    def _reader(self, numbers: list[int]) -> threading.Thread:
        reader = Reader(self._run, numbers, self._add_reader)
        return _thread(f"reader-{numbers[0]}", reader, self._run.stopping)

    def _add_reader(self, number: int) -> None:
        """Starts a reader for one partition; called by another reader's thread."""
        thread = self._reader([number])
        thread.start()
        self._readers.append(thread)

    def _is_busy(self) -> bool:
        return self._run.in_flight.is_busy or any(thread.is_alive() for thread in self._readers)

    def _overdue(self) -> dict[tuple[int, str], Overdue]:
        """Those beyond their time at this moment, by partition and entry."""
        return {(late.partition, late.entry_id): late for late in self._run.running.overdue}

    def _leave(self, overdue: Mapping[tuple[int, str], Overdue]) -> None:
        self._acknowledger.step()
        unacknowledged = {delivery.partition for delivery in self._acknowledger.unsent}
        # The first failure ends this, because where Redis fails every command takes its whole time
        # limit. Partitions that are known to fail come last.
        numbers = sorted(self._run.groups.keys() - unacknowledged, key=self._run.outages.is_failing)
        handed_back = 0
        try:
            while numbers:
                handed_back += self._leave_partition(numbers[0], overdue)
                del numbers[0]
        except redis.RedisError as error:
            detail = describe_error(error)
            log.warning("redis fails; a partition is not left", partition=numbers[0], detail=detail)
        if left := sorted(unacknowledged.union(numbers)):
            event = "stopped; others take over what was in hand"
            log.warning(event, partitions=left, handed_back=handed_back)
        else:
            log.info("stopped", handed_back=handed_back)

    def _leave_partition(self, number: int, overdue: Mapping[tuple[int, str], Overdue]) -> int:
        group = self._run.groups[number]
        overdue = {**overdue, **self._overdue()}
        self._dead_letter_given_up(number, overdue)
        done: list[Delivery] = []
        deliveries: list[Delivery] = []
        for each in self._in_flight_of(number):
            (done if each.is_done else deliveries).append(each)
        self._acknowledge(number, done)
        # A handler that has failed meanwhile had its delivery counted by that.
        taken = {(each.partition, each.entry_id.decode()) for each in deliveries if each.is_taken}
        group.hand_back(deliveries, taken & overdue.keys())
        group.delete_consumer()
        return len(deliveries)

    def _acknowledge(self, number: int, done: Sequence[Delivery]) -> None:
        """Acknowledges what finished after the acknowledger's last step."""
        if done:
            self._run.observer.acknowledging(len(done))
            self._run.groups[number].acknowledge([delivery.entry_id for delivery in done])
            self._run.in_flight.remove(done)

    def _dead_letter_given_up(
        self, number: int, overdue: Mapping[tuple[int, str], Overdue]
    ) -> None:
        """Dead-letters what was given up and no worker came to, and what was the last delivery and is overdue."""
        settlement, deliveries = Settlement(self._run), self._in_flight_of(number)
        settlement.give_up_overdue(deliveries, overdue)
        try:
            for delivery in deliveries:
                if delivery.dead_reason:
                    settlement.dead_letter(self._run.groups[number], delivery, delivery.dead_reason)
        except redis.ResponseError as error:
            # A server that is full refuses it, but not that the rest is handed back.
            log.warning(
                "redis refuses a dead letter", partition=number, detail=describe_error(error)
            )

    def _in_flight_of(self, number: int) -> list[Delivery]:
        in_flight = self._run.in_flight.snapshot()
        return [delivery for delivery in in_flight if delivery.partition == number]


def _workers_needed(run: RunContext) -> int:
    """A plain handler occupies its thread; of async ones a thread only begins one after the other."""
    return run.options.concurrency if run.handlers.has_plain else min(run.options.concurrency, 4)


def _join(thread: threading.Thread, timeout_s: float) -> None:
    # Where one thread could not be started, those after it were not either.
    if thread.ident is not None:
        thread.join(timeout_s)


def _thread(name: str, task: Task, until: threading.Event) -> threading.Thread:
    def run() -> None:
        while not until.is_set():
            try:
                task.step()
            except BaseException:
                # A thread that ended would leave a consumer that looks alive and does nothing.
                log.exception("the consumer has a fault", thread=name)
                until.wait(1)

    return threading.Thread(target=run, name=f"consumer-{name}", daemon=True)
