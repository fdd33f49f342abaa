"""Faults of the network between the service and Redis, caused by a proxy."""

import time
from random import Random

from bench.chaos.alarm import SPOOLS, Exempt
from bench.chaos.environments.single import SingleEnvironment, tcp_proxied
from bench.chaos.fault import fault


@fault("connection-reset", tcp_proxied, Exempt("each outage lasts milliseconds"))
def reset(environment: SingleEnvironment, rng: Random) -> None:
    """Every connection to Redis is reset, again and again."""
    for _ in range(10):
        environment.tcp_proxy.tear()
        time.sleep(rng.uniform(0.0, 0.3))


@fault("latency", tcp_proxied, Exempt("answers come within ACK_BUDGET_MS"))
def delay(environment: SingleEnvironment, rng: Random) -> None:
    """Each piece on the way to or from Redis takes 5 to 800 ms."""
    proxy = environment.tcp_proxy
    try:
        for _ in range(3):
            proxy.delay_s = rng.choice([0.005, 0.05, 0.2, 0.4, 0.6, 0.8])
            time.sleep(1.0)
    finally:
        proxy.delay_s = 0.0


@fault("answers-lost", tcp_proxied, SPOOLS)
def drop_replies(environment: SingleEnvironment, rng: Random) -> None:
    """Redis does what it is asked, but its answers never arrive."""
    proxy = environment.tcp_proxy
    proxy.swallows = True
    try:
        time.sleep(rng.uniform(0.5, 3.0))
    finally:
        # Reset first: the rest of a reply that was dropped in part would be read as another one.
        proxy.tear()
        proxy.swallows = False


@fault("half-dead", tcp_proxied, Exempt("a new connection is made within ACK_BUDGET_MS"))
def black_hole(environment: SingleEnvironment, rng: Random) -> None:
    """Connections to Redis go on without passing anything, as behind a firewall that forgot them."""
    for _ in range(3):
        environment.tcp_proxy.mute()
        time.sleep(rng.uniform(0.5, 2.0))
    environment.tcp_proxy.tear(mute=True)
