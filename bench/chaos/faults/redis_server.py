"""Faults of a Redis server: it dies, hangs, refuses writes, or disconnects its clients."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from bench.chaos.alarm import SPOOLS, Alarm, Exempt
from bench.chaos.environments.single import SingleEnvironment, single
from bench.chaos.fault import fault
from testbed.ports import HOST
from testbed.redis_servers.redis_nodes import Node

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
        node.resume()


@fault("redis-kill", single, SPOOLS)
def kill(environment: SingleEnvironment, rng: Random) -> None:
    """SIGKILL of Redis, and a new start up to 3 s later."""
    environment.node.kill()
    time.sleep(rng.uniform(0.0, 3.0))
    environment.node.start()


@fault("redis-hang", single, SPOOLS)
def hang(environment: SingleEnvironment, rng: Random) -> None:
    """SIGSTOP of Redis for 1 to 20 s, mostly few."""
    with hung(environment.node):
        time.sleep(1 + 19 * rng.random() ** 3)


@fault("client-kill", single, Exempt("each outage lasts milliseconds"))
def kill_clients(environment: SingleEnvironment, rng: Random) -> None:
    """CLIENT KILL of all connections, again and again."""
    for _ in range(10):
        environment.node.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        time.sleep(rng.uniform(0.0, 0.3))


@fault("client-pause", single, SPOOLS)
def pause_clients(environment: SingleEnvironment, rng: Random) -> None:
    """CLIENT PAUSE for 0.2 to 4 s, of everything or of writes only."""
    pause_s = rng.uniform(0.2, 4.0)
    environment.node.ask("CLIENT", "PAUSE", int(pause_s * 1000), rng.choice(["ALL", "WRITE"]))
    time.sleep(pause_s)


@fault("out-of-memory", single, Alarm("readyz", SPOOLS.pattern, 2.0))
def exhaust_memory(environment: SingleEnvironment, rng: Random) -> None:
    """Redis reaches maxmemory for up to 3 s."""
    environment.node.ask("CONFIG", "SET", "maxmemory", "1mb")
    try:
        time.sleep(rng.uniform(0.5, 3.0))
    finally:
        environment.node.ask("CONFIG", "SET", "maxmemory", "0")


@fault("read-only", single, Alarm("readyz", SPOOLS.pattern, 2.0))
def become_replica(environment: SingleEnvironment, rng: Random) -> None:
    """Redis becomes a replica, and so read-only, for up to 3 s."""
    with socket.socket() as unreachable:
        # Bound and not listening: no synchronisation with this master can overwrite the data.
        unreachable.bind((HOST, 0))
        environment.node.ask("REPLICAOF", HOST, unreachable.getsockname()[1])
        try:
            time.sleep(rng.uniform(0.5, 3.0))
        finally:
            environment.node.ask("REPLICAOF", "NO", "ONE")


@fault("outage-60s", single, UNAVAILABLE, is_long=True, p99_s=OUTAGE_P99_S)
def kill_for_long(environment: SingleEnvironment, rng: Random) -> None:
    """Redis is gone for 60 s."""
    environment.node.kill()
    time.sleep(OUTAGE_S)
    environment.node.start()


@fault("hang-60s", single, UNAVAILABLE, is_long=True, p99_s=OUTAGE_P99_S)
def hang_for_long(environment: SingleEnvironment, rng: Random) -> None:
    """SIGSTOP of Redis for 60 s."""
    with hung(environment.node):
        time.sleep(OUTAGE_S)
