"""A contender with its Redis, both running: puts a load on it and measures what both sides use."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bench.errors import BenchError
from bench.load import closed_loop, open_loop
from bench.load.messages import MessageNumbers, Template
from bench.rig import process_usage, store
from bench.rig.contender import Contender, running_contender
from bench.rig.store import Store
from testbed.service import Service

WARM_UP_S = 1
MAX_CONNECTIONS = 64

# Sends, and returns the figures of `closed_loop.drive`.
Load = Callable[[], dict[str, Any]]


@dataclass
class Session:
    """What is measured; no message is sent to it twice."""

    contender: Contender
    store: Store
    service: Service
    folder: Path
    numbers: MessageNumbers = field(default_factory=MessageNumbers)

    def closed_loop(
        self, templates: Sequence[Template], *, connections: int, seconds: int
    ) -> dict[str, Any]:
        """Warms up, then measures a closed loop.

        Raises:
            BenchError: see `measure`.
        """
        self.send(templates, connections, min(WARM_UP_S, seconds))
        self.store.settle()
        figures = self.measure(
            lambda: self.send(templates, connections, seconds), in_flight=connections
        )
        return {**figures, "load": "closed", "connections": connections}

    def open_loop(
        self, templates: Sequence[Template], *, rate: float, seconds: int
    ) -> dict[str, Any]:
        """Warms up, then measures an open loop.

        Raises:
            BenchError: see `measure`.
        """
        self.send(templates, MAX_CONNECTIONS, WARM_UP_S)
        self.store.settle()

        def drive() -> dict[str, Any]:
            return open_loop.drive(
                self.service.port,
                templates,
                rate=rate,
                connections=MAX_CONNECTIONS,
                seconds=seconds,
                first=self.numbers.next(),
            )

        figures = self.measure(drive, in_flight=0)
        return {**figures, "load": "open", "connections": MAX_CONNECTIONS}

    def send(self, templates: Sequence[Template], connections: int, seconds: int) -> dict[str, Any]:
        """Runs a closed loop and returns the figures of `closed_loop.drive` alone."""
        return closed_loop.drive(
            self.service.port,
            templates,
            self.folder,
            connections=connections,
            seconds=seconds,
            first=self.numbers.next(),
        )

    def measure(self, load: Load, *, in_flight: int) -> dict[str, Any]:
        """Runs a load, and checks that each 200 is an entry.

        Args:
            load: see `Load`.
            in_flight: see `store.check_count`.

        Raises:
            BenchError: not every 200 is an entry, or there were refusals or failures.
        """
        length = self.store.length()
        figures = self.measure_usage(load, self.store.processes())
        unknown = in_flight + figures["unanswered"]
        added = store.check_count(self.store, length, figures["messages"], in_flight=unknown)
        # Messages in flight at the end cost as much as those that were answered.
        share = figures["messages"] / added
        cpu = {name: figures[name] * share for name in ("cpu_us", "redis_cpu_us")}
        return {**figures, **cpu, "entries": added}

    def measure_usage(self, load: Load, redis: Sequence[psutil.Process]) -> dict[str, Any]:
        """Runs a load without a look at what is stored.

        Args:
            load: see `Load`.
            redis: its processes, if it runs.

        Raises:
            BenchError: there were refusals or failures.
        """
        processes, own = self.service.family(), [psutil.Process()]
        machine, began = process_usage.Machine.now(), time.perf_counter()
        before = process_usage.cpu_s(processes)
        others = [process_usage.cpu_with_children_s(each) for each in (redis, own)]
        figures = load()
        cpu = process_usage.used_s(before, process_usage.cpu_s(processes))
        redis_cpu, own_cpu = (
            process_usage.cpu_with_children_s(each) - start
            for each, start in zip((redis, own), others, strict=True)
        )
        elapsed, machine_after = time.perf_counter() - began, process_usage.Machine.now()
        self._check_answers(figures)
        memory = process_usage.largest(processes)
        total_s = cpu + redis_cpu + own_cpu
        return {
            **{name: figures[name] for name in ("seconds", "rate", "p50_ms", "p99_ms", "p999_ms")},
            "messages": figures["kept"],
            "unanswered": figures["broken"],
            "per_s": figures["kept"] / figures["seconds"],
            "cpu_us": cpu * 1e6 / figures["kept"],
            "redis_cpu_us": redis_cpu * 1e6 / figures["kept"],
            "rss_mb": memory.rss_mb,
            "pss_mb": memory.pss_mb,
            "foreign": process_usage.foreign_share(machine, machine_after, total_s, elapsed),
            "stolen": (machine_after.stolen - machine.stolen) / elapsed,
        }

    def _check_answers(self, figures: dict[str, Any]) -> None:
        # At a fixed rate a slow contender leaves some unanswered: that is a figure, not a failure.
        broken = figures["broken"] if figures["rate"] is None else 0
        if figures["refused"] or broken or not figures["kept"]:
            raise BenchError(f"{self.contender.name} refused or broke off: {figures}")


@contextmanager
def running(
    contender: Contender,
    fsync: str = "everysec",
    existing: Store | None = None,
    numbers: MessageNumbers | None = None,
    **settings: str,
) -> Iterator[Session]:
    """Runs a contender and its Redis for the duration of the block.

    Args:
        contender: which.
        fsync: of its Redis.
        existing: a Redis that runs already, instead of an empty one.
        numbers: of messages that this Redis does not hold yet, if it is not empty.
        settings: more of the contender's environment.

    Raises:
        BenchError: the contender did not become ready.
    """
    with (
        tempfile.TemporaryDirectory(prefix="fota-bench-") as folder,
        nullcontext(existing) if existing else store.running(fsync) as own,
        running_contender(contender, own.url, **settings) as service,
    ):
        yield Session(contender, own, service, Path(folder), numbers or MessageNumbers())
