"""Waits for COMMAND's port to be free, and then for COMMAND to be ready: only then may ThingSpace send.

What answers at the port is taken for COMMAND. So nobody else may be there when COMMAND starts.
"""

import socket
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
# COMMAND may listen on either alone: the machine may lack the other one, or --bind says so.
HOSTS = ("127.0.0.1", "::1")
# As long as gunicorn itself tries.
FREE_WITHIN_S = 5.0


def until_free(
    port: int, wait: Callable[[float], bool], *, clock: Callable[[], float] = time.monotonic
) -> bool:
    """Returns True once nobody listens at a port, False if somebody still does when time is up.

    Args:
        port: of this machine.
        wait: sleeps so many seconds, and returns True early if the process is to stop: time is up.
        clock: monotonic seconds.
    """
    until = clock() + FREE_WITHIN_S
    told = False
    while is_taken(port):
        if not told:
            log.warning("waiting for the port to be free", port=port)
            told = True
        if clock() >= until or wait(EVERY_S):
            return False
    return True


def is_taken(port: int) -> bool:
    """Whether somebody listens where the readiness check will ask."""
    return any(_listens(host, port) for host in HOSTS)


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except TimeoutError:
        # One that is too busy to take a connection; a free port refuses it at once.
        return True
    except OSError:
        return False
    return True


def until_ready(
    port: int, wait: Callable[[float], bool], *, clock: Callable[[], float] = time.monotonic
) -> bool:
    """Returns True once the readiness check answers 200, False if the process is to stop.

    Args:
        port: of the listener, on this machine.
        wait: sleeps so many seconds, and returns True early if the process is to stop.
        clock: monotonic seconds.
    """
    urls = [f"http://{f'[{host}]' if ':' in host else host}:{port}/readyz" for host in HOSTS]
    told_at = clock() + PATIENCE_S
    while not any(answers(url) for url in urls):
        if clock() >= told_at:
            log.warning("waiting for the listener to be ready", url=urls[0])
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
