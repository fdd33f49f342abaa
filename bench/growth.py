"""The service alone as things grow: queue, message size, partitions, spool."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.load import messages
from bench.load.messages import MessageNumbers, Template
from bench.report import tables
from bench.report.stats import Run, select
from bench.rig import contender, environment, session, store
from bench.rig.full_queue import fill
from bench.rig.session import MAX_CONNECTIONS, Session
from testbed.redis_servers import redis_cluster
from testbed.redis_servers.redis_cluster import Cluster
from testbed.redis_servers.redis_nodes import Node, started

PARTS = ("queue", "bodies", "partitions", "cluster", "spool")
SIZES = {"0.5 KB": None, "1 KB": 1_000, "100 KB": 100_000, "1 MB": 1_000_000}
# More large messages at once would measure the service's limits instead of its pace.
LARGE, LARGE_CONNECTIONS = 100_000, 8
# Three masters with a replica each, and six masters alone: two cores carry them all.
PARTITIONS = (1, 2, 3, 4)
MANY_MASTERS = 6
MANY_PARTITIONS = (1, 6, 24, 100)

Report = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """What is measured.

    Attributes:
        seconds: of each measurement.
        rounds: of each comparison.
        entries: in the full queue.
        groups: of its consumer groups.
    """

    seconds: int
    rounds: int
    entries: int
    groups: int


class Growth:
    """Measures the parts. What has been measured already is not measured again.

    Args:
        options: the options.
        report: prints a line of progress.
        runs: the figures so far; later ones are appended.
    """

    def __init__(self, options: Options, report: Report, runs: list[Run] | None = None) -> None:
        self.runs: list[Run] = [] if runs is None else runs
        self._options = options
        self._report = report
        self._templates = messages.sample_templates()
        self._ours = contender.ours()

    def run(self, part: str) -> None:
        """Measures one of `PARTS`.

        Raises:
            BenchError: the service did not start, or Redis does not hold what was answered.
        """
        steps: dict[str, Callable[[], None]] = {
            "queue": self._queue,
            "bodies": self._bodies,
            "partitions": self._partitions,
            "cluster": self._cluster,
            "spool": self._spool,
        }
        steps[part]()

    def _queue(self) -> None:
        """Alternates between an empty queue and a full one."""
        if self._is_complete("queue", "full"):
            return
        # The full queue persists: a number that came again would be a duplicate there.
        numbers = MessageNumbers()
        with store.running("everysec") as full:
            self._report(f"growth: filling a queue with {self._options.entries:,} entries")
            fill(full, self._options.entries, self._options.groups)
            for number in range(self._options.rounds):
                for name, existing in (("empty", None), ("full", full)):
                    if self._has("queue", name, number):
                        continue
                    with session.running(self._ours, existing=existing, numbers=numbers) as running:
                        self._measure("queue", name, number, running)

    def _bodies(self) -> None:
        """Sends messages of several sizes."""
        for number in range(self._options.rounds):
            for name, size in SIZES.items():
                templates = messages.sized_templates(size) if size else self._templates
                connections = LARGE_CONNECTIONS if (size or 0) >= LARGE else MAX_CONNECTIONS
                with session.running(self._ours) as running:
                    self._measure(
                        "bodies",
                        name,
                        number,
                        running,
                        templates=templates,
                        connections=connections,
                    )

    def _partitions(self) -> None:
        """Uses one to four partitions on a Cluster of three masters with a replica each."""
        with _cluster() as cluster:
            self._measure_partitions("partitions", PARTITIONS, cluster)

    def _cluster(self) -> None:
        """Uses up to a hundred partitions on a Cluster of six masters."""
        with _cluster(masters=MANY_MASTERS, with_replicas=False) as cluster:
            self._measure_partitions("cluster", MANY_PARTITIONS, cluster)

    def _measure_partitions(self, part: str, counts: Sequence[int], cluster: Cluster) -> None:
        for number in range(self._options.rounds):
            for count in counts:
                with (
                    store.of_cluster(cluster, count) as emptied,
                    session.running(
                        self._ours, existing=emptied, QUEUE_PARTITIONS=str(count)
                    ) as running,
                ):
                    self._measure(part, str(count), number, running)

    def _spool(self) -> None:
        """Sends with Redis running, then with Redis stopped, then lets the spool drain."""
        for number in range(self._options.rounds):
            if self._has("spool", "spool", number):
                continue
            with _folder("redis-") as folder:
                node = Node(folder, {"appendfsync": "everysec"})
                with (
                    started([node]),
                    store.of_node(node) as own,
                    session.running(self._ours, existing=own) as running,
                ):
                    self._measure("spool", "Redis", number, running)
                    self._measure_spool(number, running, node)

    def _measure_spool(self, number: int, running: Session, node: Node) -> None:
        before = running.store.length()
        node.kill()
        warm_up = running.send(self._templates, MAX_CONNECTIONS, session.WARM_UP_S)
        figures = running.measure_usage(
            lambda: running.send(self._templates, MAX_CONNECTIONS, self._options.seconds), []
        )
        node.start()
        began = time.monotonic()
        kept = int(warm_up["kept"] + figures["messages"])
        store.check_count(running.store, before, kept, in_flight=2 * MAX_CONNECTIONS)
        drained = {"drained_s": time.monotonic() - began}
        self._add("spool", "spool", number, {**figures, **drained})

    def _measure(
        self,
        part: str,
        name: str,
        number: int,
        running: Session,
        *,
        templates: Sequence[Template] | None = None,
        connections: int = MAX_CONNECTIONS,
    ) -> None:
        figures = running.closed_loop(
            templates or self._templates, connections=connections, seconds=self._options.seconds
        )
        self._add(part, name, number, figures)

    def _has(self, part: str, name: str, number: int) -> bool:
        return bool(select(self.runs, part=part, name=name, round=number))

    def _is_complete(self, part: str, name: str) -> bool:
        return all(self._has(part, name, number) for number in range(self._options.rounds))

    def _add(self, part: str, name: str, number: int, figures: dict[str, Any]) -> None:
        run = {"part": part, "name": name, "round": number, **figures}
        self.runs.append(run)
        labels = {"fsync": part, "contender": name, "connections": MAX_CONNECTIONS}
        self._report(tables.progress_line({**labels, **run}))


@contextmanager
def _cluster(**shape: Any) -> Iterator[Cluster]:
    """A Cluster on the disk of var/; for its shape see `redis_cluster.running`."""
    with (
        _folder("cluster-") as folder,
        redis_cluster.running(folder, options={"appendfsync": "everysec"}, **shape) as cluster,
    ):
        yield cluster


@contextmanager
def _folder(prefix: str) -> Iterator[Path]:
    """A temporary folder on the disk of var/."""
    environment.VAR.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=environment.VAR) as folder:
        yield Path(folder)
