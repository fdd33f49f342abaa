"""Faults of Redis: it dies, hangs, refuses to write, or throws its clients out."""

import socket
import time
from random import Random

from bench.chaos.alarm import SPOOLS, Alarm, Exempt
from bench.chaos.fault import Fault
from bench.chaos.stages import single
from bench.chaos.worlds import SingleWorld

OUTAGE_S = 60.0
OUTAGE_P99_S = 0.1
AWAY = Alarm("check", "^error +redis: Redis does not answer", 10.0)


def kill(world: SingleWorld, chance: Random) -> None:
    world.node.kill()
    time.sleep(chance.uniform(0.0, 3.0))
    world.node.start()


def hang(world: SingleWorld, chance: Random) -> None:
    _hang(world, 1 + 19 * chance.random() ** 3)


def kill_clients(world: SingleWorld, chance: Random) -> None:
    for _ in range(10):
        world.node.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        time.sleep(chance.uniform(0.0, 0.3))


def pause_clients(world: SingleWorld, chance: Random) -> None:
    pause_s = chance.uniform(0.2, 4.0)
    world.node.ask("CLIENT", "PAUSE", int(pause_s * 1000), chance.choice(["ALL", "WRITE"]))
    time.sleep(pause_s)


def exhaust_memory(world: SingleWorld, chance: Random) -> None:
    world.node.ask("CONFIG", "SET", "maxmemory", "1mb")
    try:
        time.sleep(chance.uniform(0.5, 3.0))
    finally:
        world.node.ask("CONFIG", "SET", "maxmemory", "0")


def become_replica(world: SingleWorld, chance: Random) -> None:
    with socket.socket() as nobody:
        # Bound and not listening: a master that can never be reached, so nothing is overwritten.
        nobody.bind(("127.0.0.1", 0))
        world.node.ask("REPLICAOF", "127.0.0.1", nobody.getsockname()[1])
        try:
            time.sleep(chance.uniform(0.5, 3.0))
        finally:
            world.node.ask("REPLICAOF", "NO", "ONE")


def stay_away(world: SingleWorld, chance: Random) -> None:
    world.node.kill()
    time.sleep(OUTAGE_S)
    world.node.start()


def hang_long(world: SingleWorld, chance: Random) -> None:
    _hang(world, OUTAGE_S)


def _hang(world: SingleWorld, seconds: float) -> None:
    world.node.freeze()
    try:
        time.sleep(seconds)
    finally:
        world.node.thaw()


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
        stay_away,
        AWAY,
        is_long=True,
        p99_s=OUTAGE_P99_S,
    ),
    Fault(
        "hang-60s",
        "SIGSTOP of Redis for 60 s",
        single,
        hang_long,
        AWAY,
        is_long=True,
        p99_s=OUTAGE_P99_S,
    ),
)
