"""Waits until COMMAND's port is free, and until COMMAND is ready: only then may ThingSpace send.

What answers at PORT is taken for COMMAND unless COMMAND reports its addresses. So the port must be free when COMMAND starts.
"""

import http.client
import socket
import time
from collections.abc import Callable

import structlog

from listener.server.address_report import ListeningAddress
from registrar.errors import UnavailableError
from registrar.http.request import Timeouts, request
from registrar.process.addresses import LOOPBACK_HOSTS, ChildAddresses

log = structlog.get_logger("registrar")

POLL_S = 0.2
TIMEOUTS = Timeouts(1.0, 2.0)
# Longer than a listener takes to start.
WARN_AFTER_S = 10.0
# Longer than any start: after this time no report will come.
REPORT_WITHIN_S = 60.0
# As long as gunicorn itself tries to bind.
FREE_WITHIN_S = 5.0


def wait_for_free_port(
    port: int, wait: Callable[[float], bool], *, clock: Callable[[], float] = time.monotonic
) -> bool:
    """Returns True once no program listens at a port, False if one still does when the time is over.

    Args:
        port: of this machine.
        wait: sleeps for some seconds, and returns True early if the process is to stop.
        clock: monotonic seconds.
    """
    until = clock() + FREE_WITHIN_S
    warned = False
    while is_taken(port):
        if not warned:
            log.warning("waiting for the port to be free", port=port)
            warned = True
        if clock() >= until or wait(POLL_S):
            return False
    return True


def is_taken(port: int) -> bool:
    """Whether a program listens where the readiness check will ask."""
    return any(_listens(host, port) for host in LOOPBACK_HOSTS)


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except TimeoutError:
        # The program is too busy to accept; a free port refuses at once.
        return True
    except OSError:
        return False
    return True


def wait_until_ready(
    child: ChildAddresses,
    wait: Callable[[float], bool],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Returns True once the readiness check answers 200, False if the process is to stop.

    Args:
        child: where to ask.
        wait: sleeps for some seconds, and returns True early if the process is to stop.
        clock: monotonic seconds.

    Raises:
        AddressUnknownError: COMMAND listens at an address of its own, and does not report it.
    """
    began = clock()
    warned = False
    while True:
        addresses = child.now()
        if any(map(is_ready, addresses)):
            return True
        waited_s = clock() - began
        if not addresses and waited_s >= REPORT_WITHIN_S:
            child = child.without_report()
        if waited_s >= WARN_AFTER_S and not warned:
            log.warning("waiting for the listener to be ready", addresses=addresses)
            warned = True
        if wait(POLL_S):
            return False


def is_ready(address: ListeningAddress) -> bool:
    """Whether the readiness check at an address of this machine answers 200."""
    if isinstance(address, str):
        return _is_ready_at_socket(address)
    host, port = address
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/readyz"
    try:
        # A proxy for the outside world does not lead to our own machine.
        return request("GET", url, TIMEOUTS, trust_env=False).status == 200
    except UnavailableError:
        return False


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket, which requests cannot do."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.host)


def _is_ready_at_socket(path: str) -> bool:
    connection = _SocketConnection(path, timeout=TIMEOUTS.read_s)
    try:
        connection.request("GET", "/readyz", headers={"Host": "localhost"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
