"""Free ports on loopback, each given to one caller only, among all processes of this machine."""

import random
import socket

HOST = "127.0.0.1"
# A Redis Cluster's node also listens at its port plus 10,000. That port, too, must lie below the range
# from which the operating system takes the ports of outgoing connections.
PORTS = range(10_000, 20_000)
BUS_OFFSET = 10_000


class NoFreePortError(Exception):
    """Every port of the range is in use or claimed."""


def free_port() -> int:
    """A port on which nobody listens, and nobody at its Cluster bus either; ours until this process ends.

    No other call returns it, in whatever process: not before a server starts there, nor while that server
    is down. A server that was started without asking may still listen there.

    Raises:
        NoFreePortError: there is none left.
    """
    for port in random.sample(PORTS, len(PORTS)):
        if _claim(port) and is_free(port) and is_free(port + BUS_OFFSET):
            return port
    raise NoFreePortError("there is no free port")


def free_port_near(preferred: int) -> int:
    """The preferred port if nobody listens there, else a `free_port`."""
    return preferred if is_free(preferred) else free_port()


def is_free(port: int) -> bool:
    """Whether a TCP server could listen at this port of 127.0.0.1 now."""
    with socket.socket() as candidate:
        # Connections that ended a moment ago do not keep a server from listening.
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return _binds(candidate, port)


def _claim(port: int) -> bool:
    """Claims a port until this process ends, unless another process has claimed it.

    The claim is a UDP socket, which the operating system closes however this process ends. It is bound at
    the port of the Cluster bus, because an HTTP/3 server wants UDP at the port itself.
    """
    with socket.socket(type=socket.SOCK_DGRAM) as claim:
        if not _binds(claim, port + BUS_OFFSET):
            return False
        claim.detach()
        return True


def _binds(candidate: socket.socket, port: int) -> bool:
    try:
        candidate.bind((HOST, port))
    except OSError:
        return False
    return True
