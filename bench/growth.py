"""The service alone: a full queue, long messages, several partitions, the spool, a million messages."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from rich.table import Table

from bench.load import messages
from bench.load.closed import Numbers
from bench.report import rendering, stats
from bench.report.stats import Run, Spread
from bench.rig import contender, environment, fill, process_usage, session
from bench.rig import store as stores
from bench.rig.measure import account
from bench.rig.session import MOST_CONNECTIONS, Session
from bench.rig.store import Store
from testbed import redis_cluster
from testbed.redis_nodes import Node

PARTS = ("queue", "bodies", "partitions", "spool", "memory")
SIZES = {"0.5 KB": None, "1 KB": 1_000, "100 KB": 100_000, "1 MB": 1_000_000}
# So many of a large size at once would be a test of the bounds rather than of the pace.
LARGE, LARGE_CONNECTIONS = 100_000, 8
PARTITIONS = (1, 2, 3, 4)
MEMORY_STEPS = 20

Say = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """How long, how often, how much."""

    seconds: int
    rounds: int
    entries: int
    messages: int


class Growth:
    """Runs the parts; `runs` and `memory` hold what was found."""

    def __init__(self, options: Options, say: Say) -> None:
        """Takes the options, and where to tell of progress."""
        self.runs: list[Run] = []
        self.memory: list[dict[str, float]] = []
        self._options = options
        self._say = say
        self._parts = messages.samples()
        self._ours = contender.ours()

    def queue(self) -> None:
        """An empty queue and a full one, in turn."""
        # The full one stays: a number that came again would be a duplicate there.
        numbers = Numbers()
        with stores.running("everysec") as full:
            self._say(f"growth: filling a queue with {self._options.entries:,} entries")
            fill.fill(full, self._options.entries)
            for number in range(self._options.rounds):
                for name, where in (("empty", None), ("full", full)):
                    with session.running(self._ours, where=where, numbers=numbers) as running:
                        self._measure("queue", name, number, running)

    def bodies(self) -> None:
        """Messages of several sizes."""
        for number in range(self._options.rounds):
            for name, size in SIZES.items():
                parts = messages.sized(size) if size else self._parts
                connections = LARGE_CONNECTIONS if (size or 0) >= LARGE else MOST_CONNECTIONS
                with session.running(self._ours) as running:
                    self._measure(
                        "bodies", name, number, running, parts=parts, connections=connections
                    )

    def partitions(self) -> None:
        """One to four partitions on a Cluster of three masters with a replica each."""
        with (
            tempfile.TemporaryDirectory(prefix="cluster-", dir=_disk()) as folder,
            redis_cluster.running(Path(folder), options={"appendfsync": "everysec"}) as cluster,
        ):
            for number in range(self._options.rounds):
                for count in PARTITIONS:
                    with (
                        _in_cluster(cluster, count) as where,
                        session.running(
                            self._ours, where=where, QUEUE_PARTITIONS=str(count)
                        ) as running,
                    ):
                        self._measure("partitions", str(count), number, running)

    def spool(self) -> None:
        """Redis there, and Redis stopped; then it comes back and gets everything."""
        for number in range(self._options.rounds):
            with tempfile.TemporaryDirectory(prefix="redis-", dir=_disk()) as folder:
                node = Node(Path(folder), {"appendfsync": "everysec"})
                node.start()
                try:
                    with (
                        _of_node(node) as where,
                        session.running(self._ours, where=where) as running,
                    ):
                        self._measure("spool", "Redis", number, running)
                        self._measure_spool(number, running, node)
                finally:
                    node.kill()

    def memory_over_time(self) -> None:
        """The largest worker's memory while messages go through."""
        self._say(f"growth: {self._options.messages:,} messages through one service")
        step = self._options.messages / MEMORY_STEPS
        with session.running(self._ours) as running:
            sent = 0.0
            while sent < self._options.messages:
                told = running.send(self._parts, MOST_CONNECTIONS, self._seconds_for(step))
                sent += told["kept"]
                found = process_usage.largest(running.server.processes())
                self.memory.append(
                    {"messages": sent, "rss_mb": found.rss_mb, "pss_mb": found.pss_mb}
                )
                self._rate = told["kept"] / told["seconds"]
            running.store.settle()

    _rate = 1000.0

    def _seconds_for(self, count: float) -> int:
        return max(1, round(count / self._rate))

    def _measure_spool(self, number: int, running: Session, node: Node) -> None:
        before = running.store.length()
        node.kill()
        warmed = running.send(self._parts, MOST_CONNECTIONS, session.WARM_UP_S)
        found = account(
            running.server,
            [],
            lambda: running.send(self._parts, MOST_CONNECTIONS, self._options.seconds),
        )
        node.start()
        began = time.monotonic()
        kept = int(warmed["kept"] + found["messages"])
        stores.check_count(running.store, before, kept, under_way=2 * MOST_CONNECTIONS)
        drained = {"drained_s": time.monotonic() - began}
        self._keep("spool", "spool", number, {**found, **drained})

    def _measure(
        self,
        part: str,
        name: str,
        number: int,
        running: Session,
        *,
        parts: Sequence[messages.Parts] | None = None,
        connections: int = MOST_CONNECTIONS,
    ) -> None:
        found = running.as_fast_as_it_can(
            parts or self._parts, connections=connections, seconds=self._options.seconds
        )
        self._keep(part, name, number, found)

    def _keep(self, part: str, name: str, number: int, found: dict[str, Any]) -> None:
        run = {"part": part, "name": name, "round": number, **found}
        self.runs.append(run)
        self._say(
            rendering.line(
                {"fsync": part, "contender": name, "connections": MOST_CONNECTIONS, **run}
            )
        )


def run(options: Options, parts: Sequence[str], say: Say) -> dict[str, Any]:
    """Measures the parts that are named.

    Raises:
        store.MismatchError: what is in Redis is not what was answered.
        contender.FailedError: the service did not start.
    """
    growth = Growth(options, say)
    steps = {
        "queue": growth.queue,
        "bodies": growth.bodies,
        "partitions": growth.partitions,
        "spool": growth.spool,
        "memory": growth.memory_over_time,
    }
    for part in parts:
        steps[part]()
    return {
        "runs": growth.runs,
        "memory": growth.memory,
        "targets": [target.as_dict() for target in _targets(growth)],
    }


def tables(found: dict[str, Any]) -> Iterator[Table]:
    """For a terminal."""
    for title, headings, cells in _all_cells(found):
        table = Table(*headings, title=title, title_justify="left")
        for line in cells:
            table.add_row(*line)
        yield table
    yield rendering.targets_table(found["targets"])


def as_markdown(found: dict[str, Any]) -> str:
    """The part of docs/benchmarks.md that a run of `bench/run growth` fills."""
    parts = [rendering.conditions(found)] if found["runs"] else []
    for title, headings, cells in _all_cells(found):
        parts += [f"**{title}**", rendering.markdown(headings, cells)]
    targets = [rendering.target_cells(target) for target in found["targets"]]
    parts += [rendering.markdown(rendering.TARGET_HEADINGS, targets)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


TITLES = {
    "queue": "An empty queue, and a full one with ten groups",
    "bodies": "The size of a message",
    "partitions": "Partitions, on a Cluster of three masters with a replica each",
    "spool": "Redis there, and Redis stopped",
}
HEADINGS = ("", *rendering.HEADINGS[3:])
MEMORY_HEADINGS = ("messages so far", "RSS MB", "PSS MB")


def _all_cells(found: dict[str, Any]) -> Iterator[tuple[str, Sequence[str], list[list[str]]]]:
    for part, title in TITLES.items():
        runs = stats.select(found["runs"], part=part)
        if runs:
            names = dict.fromkeys(run["name"] for run in runs)
            cells = [[name, *rendering.cells(stats.select(runs, name=name))] for name in names]
            yield title, HEADINGS, cells
    if found["memory"]:
        cells = [
            [f"{at['messages']:,.0f}", f"{at['rss_mb']:.1f}", f"{at['pss_mb']:.1f}"]
            for at in found["memory"]
        ]
        yield "A worker's memory, the largest", MEMORY_HEADINGS, cells


def _targets(growth: Growth) -> Iterator[stats.Target]:
    for part, one, other, what, wanted in (
        ("queue", "full", "empty", "messages/s with a full queue over an empty one's", 0.95),
        ("spool", "spool", "Redis", "messages/s with Redis stopped over those with it", 0.5),
    ):
        there = stats.ratio(
            growth.runs, "per_s", {"part": part, "name": one}, {"part": part, "name": other}
        )
        if there:
            yield stats.Target(what, there.median, wanted)
    if len(growth.memory) > 1:
        memory = Spread.of([at["rss_mb"] for at in growth.memory])
        half = growth.memory[len(growth.memory) // 2]["rss_mb"]
        yield stats.Target("MB of a worker, greatest", memory.greatest, 80, at_most=True)
        last = growth.memory[-1]["rss_mb"] / half
        yield stats.Target("its memory at the end over that at half time", last, 1.02, at_most=True)


def _disk() -> Path:
    environment.HERE.mkdir(parents=True, exist_ok=True)
    return environment.HERE


@contextmanager
def _in_cluster(cluster: redis_cluster.Cluster, partitions: int) -> Iterator[Store]:
    """The Cluster, emptied, as the store of so many partitions."""
    for master in cluster.masters():
        master.ask("FLUSHALL", "SYNC")
    masters = [cluster.master_of(stores.stream(number)) for number in range(partitions)]
    clients = [master.client() for master in masters]
    try:
        yield Store(cluster.url, clients)
    finally:
        for client in clients:
            client.close()


@contextmanager
def _of_node(node: Node) -> Iterator[Store]:
    url = f"redis://{node.address}/0"
    with redis.Redis.from_url(url, decode_responses=True, protocol=2) as client:
        yield Store(url, [client])
