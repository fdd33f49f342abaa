"""Faults of the network between the service and Redis, caused by a proxy."""

import time
from random import Random

from bench.chaos.alarm import SPOOLS, Exempt
from bench.chaos.environments.single import SingleEnvironment, tcp_proxied
from bench.chaos.fault import Fault


def reset(environment: SingleEnvironment, rng: Random) -> None:
    for _ in range(10):
        environment.tcp_proxy.tear()
        time.sleep(rng.uniform(0.0, 0.3))


def delay(environment: SingleEnvironment, rng: Random) -> None:
    proxy = environment.tcp_proxy
    try:
        for _ in range(3):
            proxy.delay_s = rng.choice([0.005, 0.05, 0.2, 0.4, 0.6, 0.8])
            time.sleep(1.0)
    finally:
        proxy.delay_s = 0.0


def drop_replies(environment: SingleEnvironment, rng: Random) -> None:
    proxy = environment.tcp_proxy
    proxy.swallows = True
    try:
        time.sleep(rng.uniform(0.5, 3.0))
    finally:
        # Reset first: the rest of a reply that was dropped in part would be read as another one.
        proxy.tear()
        proxy.swallows = False


def black_hole(environment: SingleEnvironment, rng: Random) -> None:
    for _ in range(3):
        environment.tcp_proxy.mute()
        time.sleep(rng.uniform(0.5, 2.0))
    environment.tcp_proxy.tear(mute=True)


FAULTS = (
    Fault(
        "connection-reset",
        "every connection to Redis is reset, again and again",
        tcp_proxied,
        reset,
        Exempt("each outage lasts milliseconds"),
    ),
    Fault(
        "latency",
        "each piece on the way to or from Redis takes 5 to 800 ms",
        tcp_proxied,
        delay,
        Exempt("answers come within ACK_BUDGET_MS"),
    ),
    Fault(
        "half-dead",
        "connections to Redis go on without passing anything, as behind a firewall that forgot them",
        tcp_proxied,
        black_hole,
        Exempt("a new connection is made within ACK_BUDGET_MS"),
    ),
    Fault(
        "answers-lost",
        "Redis does what it is asked, but its answers never arrive",
        tcp_proxied,
        drop_replies,
        SPOOLS,
    ),
)
