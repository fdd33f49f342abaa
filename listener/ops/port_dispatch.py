"""Two ports, one set of workers: the public one, and the operator's (OPS_BIND).

gunicorn gives each listening socket a pool of connections of its own, so that a crowd at the public
port does not shut the operator out.
"""

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import structlog
from gunicorn.util import parse_address

from listener.errors import ListenerError
from listener.settings.redis_url import Address
from listener.settings.settings import Settings

EVERY_ADDRESS = ("", "0.0.0.0", "::")

log = structlog.get_logger("listener")

# Set by gunicorn for the new master that it starts on SIGUSR2: the sockets are inherited.
INHERITED = "GUNICORN_FD"


class Ports:
    """The WSGI application: chooses by the socket that a request came in through.

    Nothing that a sender writes has a say: neither a header nor a path leads from one port to the other.
    """

    def __init__(self, *, public: Any, operating: Any, bind: Address | None) -> None:
        """Takes a WSGI application for each port, and where the operator's is."""
        self._public = public
        self._operating = operating
        self._port = str(bind[1]) if bind else None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Serves one request."""
        # The worker sets it to the listening socket's own port, whatever a Host header says.
        chosen = self._operating if environ["SERVER_PORT"] == self._port else self._public
        return chosen(environ, start_response)


class BindError(ListenerError):
    """The addresses given to gunicorn break a promise; the text says which."""


def public_addresses(port: int) -> list[str]:
    """Addresses for gunicorn to listen on, so that a port answers on IPv4 and on IPv6.

    Where the machine has only one of the two, the port answers on that one.
    """
    with suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as candidate:
        takes_both = not candidate.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        candidate.bind(("::", 0))
        if takes_both:
            # The default of Linux: IPv4 clients come with addresses such as ::ffff:192.0.2.1.
            return [f"[::]:{port}"]
        return [f"[::]:{port}", f"0.0.0.0:{port}"]
    return [f"0.0.0.0:{port}"]


def with_operating_port(bind: Sequence[str], settings: Settings) -> list[str]:
    """The addresses for gunicorn to listen on, `OPS_BIND` among them whoever chose the others.

    An operating port that cannot be had is left out, and logged: messages must not wait for it.

    Raises:
        BindError: an address would serve the operating side to the public, or keep it from being served.
    """
    if settings.ops_bind is None:
        return list(bind)
    host, port = settings.ops_bind
    public = [address for address in bind if not is_operating(address, settings)]
    for address in public:
        if isinstance(_parsed(address), int):
            raise BindError("with a file descriptor no other address is served: empty OPS_BIND")
        if _parsed(address)[1] == port:
            raise BindError("the port of OPS_BIND must be bound to no other address")
    name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if problem := _problem(settings.ops_bind):
        log.error("no operating port: OPS_BIND cannot be had", bind=name, detail=problem)
        return public
    return [*public, name]


def is_operating(address: str, settings: Settings) -> bool:
    """Whether one of gunicorn's addresses is that of the operating port."""
    return bool(_parsed(address) == settings.ops_bind)


def is_open_to_all(bind: Sequence[str]) -> bool:
    """Whether one of gunicorn's addresses is that of every network of the machine."""
    hosts = (parsed[0] for address in bind if not isinstance(parsed := _parsed(address), int))
    return any(host in EVERY_ADDRESS for host in hosts)


def _parsed(address: str) -> Any:
    """As gunicorn reads it: host and port, the path of a Unix socket with no port, or a descriptor."""
    parsed = parse_address(address)
    return (parsed, None) if isinstance(parsed, str) else parsed


def _problem(address: Address) -> str | None:
    if INHERITED in os.environ or address in _held:
        return None
    try:
        family, kind, _, _, name = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as candidate:
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            candidate.bind(name)
    except OSError as error:
        return str(error.strerror or error)
    _held.add(address)
    return None


# gunicorn reads its settings again on SIGHUP, when the port is taken: by itself.
_held: set[Address] = set()
