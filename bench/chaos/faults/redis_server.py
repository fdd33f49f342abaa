"""Faults of a Redis server: it dies, hangs, refuses writes, or disconnects its clients."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from bench.chaos.alarm import SPOOLS, Alarm, Exempt
from bench.chaos.environments.single import SingleEnvironment, single
from bench.chaos.fault import Fault
from testbed.ports import HOST
from testbed.redis_nodes import Node

OUTAGE_S = 60.0
OUTAGE_P99_S = 0.1
UNAVAILABLE = Alarm("check", "^error +redis: Redis does not answer", 10.0)


@contextmanager
def hung(node: Node) -> Iterator[None]:
    """Stops the server's process with SIGSTOP for the duration of the block."""
    node.freeze()
    try:
        yield
    finally:
        node.thaw()


def kill(environment: SingleEnvironment, rng: Random) -> None:
    environment.node.kill()
    time.sleep(rng.uniform(0.0, 3.0))
    environment.node.start()


def hang(environment: SingleEnvironment, rng: Random) -> None:
    with hung(environment.node):
        time.sleep(1 + 19 * rng.random() ** 3)


def kill_clients(environment: SingleEnvironment, rng: Random) -> None:
    for _ in range(10):
        environment.node.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        time.sleep(rng.uniform(0.0, 0.3))


def pause_clients(environment: SingleEnvironment, rng: Random) -> None:
    pause_s = rng.uniform(0.2, 4.0)
    environment.node.ask("CLIENT", "PAUSE", int(pause_s * 1000), rng.choice(["ALL", "WRITE"]))
    time.sleep(pause_s)


def exhaust_memory(environment: SingleEnvironment, rng: Random) -> None:
    environment.node.ask("CONFIG", "SET", "maxmemory", "1mb")
    try:
        time.sleep(rng.uniform(0.5, 3.0))
    finally:
        environment.node.ask("CONFIG", "SET", "maxmemory", "0")


def become_replica(environment: SingleEnvironment, rng: Random) -> None:
    with socket.socket() as unreachable:
        # Bound and not listening: no synchronisation with this master can overwrite the data.
        unreachable.bind((HOST, 0))
        environment.node.ask("REPLICAOF", HOST, unreachable.getsockname()[1])
        try:
            time.sleep(rng.uniform(0.5, 3.0))
        finally:
            environment.node.ask("REPLICAOF", "NO", "ONE")


def kill_for_long(environment: SingleEnvironment, rng: Random) -> None:
    environment.node.kill()
    time.sleep(OUTAGE_S)
    environment.node.start()


def hang_for_long(environment: SingleEnvironment, rng: Random) -> None:
    with hung(environment.node):
        time.sleep(OUTAGE_S)


FAULTS = (
    Fault("redis-kill", "SIGKILL of Redis, and a new start up to 3 s later", single, kill, SPOOLS),
    Fault("redis-hang", "SIGSTOP of Redis for 1 to 20 s, mostly few", single, hang, SPOOLS),
    Fault(
        "client-kill",
        "CLIENT KILL of all connections, again and again",
        single,
        kill_clients,
        Exempt("each outage lasts milliseconds"),
    ),
    Fault(
        "client-pause",
        "CLIENT PAUSE for 0.2 to 4 s, of everything or of writes only",
        single,
        pause_clients,
        SPOOLS,
    ),
    Fault(
        "out-of-memory",
        "Redis reaches maxmemory for up to 3 s",
        single,
        exhaust_memory,
        Alarm("readyz", SPOOLS.pattern, 2.0),
    ),
    Fault(
        "read-only",
        "Redis becomes a replica, and so read-only, for up to 3 s",
        single,
        become_replica,
        Alarm("readyz", SPOOLS.pattern, 2.0),
    ),
    Fault(
        "outage-60s",
        "Redis is gone for 60 s",
        single,
        kill_for_long,
        UNAVAILABLE,
        is_long=True,
        p99_s=OUTAGE_P99_S,
    ),
    Fault(
        "hang-60s",
        "SIGSTOP of Redis for 60 s",
        single,
        hang_for_long,
        UNAVAILABLE,
        is_long=True,
        p99_s=OUTAGE_P99_S,
    ),
)
