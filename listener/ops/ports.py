"""Two ports, one set of workers: the public one, and the operator's (OPS_BIND).

gunicorn gives each listening socket a pool of connections of its own, so that a crowd at the public
port does not shut the operator out.
"""

import os
import socket
from typing import Any

import structlog

from listener.redis_url import Address
from listener.settings import Settings

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


def to_bind(settings: Settings) -> list[str]:
    """The addresses for gunicorn to listen on.

    An operating port that cannot be had is left out and told: messages must not wait for it.
    """
    public = f"0.0.0.0:{settings.port}"
    if settings.ops_bind is None:
        return [public]
    host, port = settings.ops_bind
    name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if problem := _problem(settings.ops_bind):
        log.error("no operating port: OPS_BIND cannot be had", bind=name, detail=problem)
        return [public]
    return [public, name]


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
