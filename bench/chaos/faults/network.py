"""Faults of the network between service and Redis, made by the proxy."""

import time
from random import Random

from bench.chaos.alarm import SPOOLS, Exempt
from bench.chaos.fault import Fault
from bench.chaos.stages import proxied
from bench.chaos.worlds import SingleWorld


def reset(world: SingleWorld, chance: Random) -> None:
    for _ in range(10):
        world.proxy.tear()
        time.sleep(chance.uniform(0.0, 0.3))


def delay(world: SingleWorld, chance: Random) -> None:
    try:
        for _ in range(3):
            world.proxy.delay_s = chance.choice([0.005, 0.05, 0.2, 0.4, 0.6, 0.8])
            time.sleep(1.0)
    finally:
        world.proxy.delay_s = 0.0


def swallow(world: SingleWorld, chance: Random) -> None:
    world.proxy.swallows = True
    try:
        time.sleep(chance.uniform(0.5, 3.0))
    finally:
        # What was in flight stays unanswered: half an answer later would be worse than none.
        world.proxy.tear()
        world.proxy.swallows = False


def forget(world: SingleWorld, chance: Random) -> None:
    for _ in range(3):
        world.proxy.mute()
        time.sleep(chance.uniform(0.5, 2.0))
    world.proxy.tear(mute=True)


FAULTS = (
    Fault(
        "connection-reset",
        "every connection to Redis is reset, again and again",
        proxied,
        reset,
        Exempt("each outage lasts milliseconds"),
    ),
    Fault(
        "latency",
        "each piece on the way to or from Redis takes 5 to 800 ms",
        proxied,
        delay,
        Exempt("answers come within ACK_BUDGET_MS"),
    ),
    Fault(
        "half-dead",
        "connections to Redis go on without passing anything, as behind a firewall that forgot them",
        proxied,
        forget,
        Exempt("a new connection is made within ACK_BUDGET_MS"),
    ),
    Fault(
        "answers-lost",
        "Redis does what it is asked, but its answers never arrive",
        proxied,
        swallow,
        SPOOLS,
    ),
)
