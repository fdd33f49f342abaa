"""A contender with a Redis of its own, both running, and the loads that can be put on it."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.load import closed
from bench.load.closed import Numbers
from bench.load.messages import Parts
from bench.rig import contender, store
from bench.rig.contender import Contender, Server
from bench.rig.measure import measure
from bench.rig.store import Store

WARM_UP_S = 1
MOST_CONNECTIONS = 64


@dataclass
class Session:
    """What is measured; every message that it is sent is another one."""

    store: Store
    server: Server
    folder: Path
    numbers: Numbers = field(default_factory=Numbers)

    def as_fast_as_it_can(
        self, parts: Sequence[Parts], *, connections: int, seconds: int
    ) -> dict[str, Any]:
        """Warms up, and measures a closed loop."""
        self.send(parts, connections, min(WARM_UP_S, seconds))
        self.store.settle()
        found = measure(
            self.server,
            self.store,
            lambda: self.send(parts, connections, seconds),
            under_way=connections,
        )
        return {**found, "load": "closed", "connections": connections}

    def at_rate(self, parts: Sequence[Parts], *, rate: float, seconds: int) -> dict[str, Any]:
        """Warms up, and measures an open loop."""
        self.send(parts, MOST_CONNECTIONS, WARM_UP_S)
        self.store.settle()

        def drive() -> dict[str, Any]:
            return closed.at_rate(
                self.server.port,
                parts,
                rate=rate,
                connections=MOST_CONNECTIONS,
                seconds=seconds,
                first=self.numbers.next(),
            )

        found = measure(self.server, self.store, drive, under_way=0)
        return {**found, "load": "open", "connections": MOST_CONNECTIONS}

    def send(self, parts: Sequence[Parts], connections: int, seconds: int) -> dict[str, Any]:
        """Sends as fast as answers come, and measures nothing but that; see `load.closed`."""
        return closed.closed(
            self.server.port,
            parts,
            self.folder,
            connections=connections,
            seconds=seconds,
            first=self.numbers.next(),
        )


@contextmanager
def running(
    who: Contender,
    fsync: str = "everysec",
    where: Store | None = None,
    numbers: Numbers | None = None,
    **settings: str,
) -> Iterator[Session]:
    """Runs both while the block runs.

    Args:
        who: the contender.
        fsync: of its Redis.
        where: a Redis that runs already, instead of an empty one.
        numbers: of messages that this Redis did not get yet, if it is not empty.
        settings: more of the contender's environment.

    Raises:
        contender.FailedError: it did not start.
    """
    with tempfile.TemporaryDirectory(prefix="fota-bench-") as folder:
        if where is None:
            with (
                store.running(fsync) as own,
                contender.running(who, own.url, **settings) as server,
            ):
                yield Session(own, server, Path(folder), numbers or Numbers())
        else:
            with contender.running(who, where.url, **settings) as server:
                yield Session(where, server, Path(folder), numbers or Numbers())
