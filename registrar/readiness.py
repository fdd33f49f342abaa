"""Waits until the listener can keep messages: only then may ThingSpace send any."""

import time
from collections.abc import Callable

import requests
import structlog

from registrar.exchange import Limits, exchange

log = structlog.get_logger("registrar")

EVERY_S = 0.2
LIMITS = Limits(1.0, 2.0)
# Longer than a listener takes to start: after that somebody should know.
PATIENCE_S = 10.0


def until_ready(
    url: str, wait: Callable[[float], bool], *, clock: Callable[[], float] = time.monotonic
) -> bool:
    """Returns True once the readiness check answers 200, False if the process is to stop.

    Args:
        url: of the readiness check, on this machine.
        wait: sleeps so many seconds, and returns True early if the process is to stop.
        clock: monotonic seconds.
    """
    told_at = clock() + PATIENCE_S
    while not answers(url):
        if clock() >= told_at:
            log.warning("waiting for the listener to be ready", url=url)
            told_at = float("inf")
        if wait(EVERY_S):
            return False
    return True


def answers(url: str) -> bool:
    """Whether a local address answers 200."""
    try:
        # A proxy for the outside world does not lead to our own machine.
        return exchange("GET", url, LIMITS, trust_env=False).status == 200
    except requests.RequestException:
        return False
