"""The addresses that gunicorn listens on: the public port's, and the operating port's (OPS_BIND)."""

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

ANY_HOST = ("", "0.0.0.0", "::")
# Set by gunicorn for the new master that it starts on SIGUSR2, which inherits the sockets.
INHERITED_SOCKETS = "GUNICORN_FD"

log = structlog.get_logger("listener")
# Addresses that could be bound once. On SIGHUP gunicorn reads its settings again, while it listens on them.
_bindable: set[Address] = set()


class BindError(ListenerError):
    """The addresses given to gunicorn break a promise; the text says which."""


def public_addresses(port: int) -> list[str]:
    """Addresses on which a port answers over IPv4 and IPv6, as far as the machine has both."""
    with suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as candidate:
        serves_ipv4_too = not candidate.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        candidate.bind(("::", 0))
        if serves_ipv4_too:
            # The default of Linux: IPv4 clients have addresses such as ::ffff:192.0.2.1.
            return [f"[::]:{port}"]
        return [f"[::]:{port}", f"0.0.0.0:{port}"]
    return [f"0.0.0.0:{port}"]


def with_operating_port(bind: Sequence[str], settings: Settings) -> list[str]:
    """The addresses to listen on: those given to gunicorn, and `OPS_BIND` if it is set.

    An operating port that cannot be bound is left out and logged: messages must not wait for it.

    Raises:
        BindError: an address would serve the operating side to the public, or keep it from being served.
    """
    if settings.ops_bind is None:
        return list(bind)
    host, port = settings.ops_bind
    public = [address for address in bind if not is_operating_port(address, settings)]
    for address in public:
        if isinstance(_parse(address), int):
            raise BindError("with a file descriptor no other address is served: empty OPS_BIND")
        if _parse(address)[1] == port:
            raise BindError("the port of OPS_BIND must be bound to no other address")
    name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if reason := _why_not_bindable(settings.ops_bind):
        log.error("no operating port: OPS_BIND cannot be had", bind=name, detail=reason)
        return public
    return [*public, name]


def is_operating_port(address: str, settings: Settings) -> bool:
    """Whether one of gunicorn's addresses is `OPS_BIND`."""
    return bool(_parse(address) == settings.ops_bind)


def is_open_to_all(bind: Sequence[str]) -> bool:
    """Whether one of gunicorn's addresses is reachable from every network of the machine."""
    hosts = (parsed[0] for address in bind if not isinstance(parsed := _parse(address), int))
    return any(host in ANY_HOST for host in hosts)


def _parse(address: str) -> Any:
    """As gunicorn reads it: host and port, the path of a Unix socket without a port, or a descriptor."""
    parsed = parse_address(address)
    return (parsed, None) if isinstance(parsed, str) else parsed


def _why_not_bindable(address: Address) -> str | None:
    if INHERITED_SOCKETS in os.environ or address in _bindable:
        return None
    try:
        family, kind, _, _, name = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as candidate:
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            candidate.bind(name)
    except OSError as error:
        return str(error.strerror or error)
    _bindable.add(address)
    return None
