"""The file in which the service reports its listening addresses to the registrar that started it."""

import json
import os
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from listener.settings.redis_url import Address

# The path of the file; the registrar sets it for COMMAND.
VARIABLE = "FOTA_ADDRESSES_FILE"

ListeningAddress = Address | str
"""Host and port, or the path of a Unix socket; an abstract one begins with NUL."""


def write(listeners: Iterable[Any], ops_bind: Address | None) -> None:
    """Writes the addresses of the public port, once. Does nothing if the variable is not set.

    Args:
        listeners: gunicorn's listening sockets.
        ops_bind: the operating port's address, which is left out.

    Raises:
        OSError: the file cannot be written.
    """
    name = os.environ.get(VARIABLE)
    if not name or Path(name).exists():
        return
    addresses = [_address(listener) for listener in listeners]
    public = [each for each in addresses if isinstance(each, str) or not _is_same(each, ops_bind)]
    temporary = Path(f"{name}.new")
    temporary.write_text(json.dumps(public))
    # Atomic: the registrar reads either the whole file or none.
    temporary.replace(name)


def read(path: Path) -> list[ListeningAddress] | None:
    """The addresses; None if COMMAND has not written them yet.

    Raises:
        OSError, ValueError, LookupError, TypeError: the file cannot be read.
    """
    try:
        text = path.read_text()
    except FileNotFoundError:
        return None
    return [each if isinstance(each, str) else (each[0], each[1]) for each in json.loads(text)]


def _address(listener: Any) -> ListeningAddress:
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return name if isinstance(name, str) else os.fsdecode(name)
    return (name[0], name[1])


def _is_same(address: Address, ops_bind: Address | None) -> bool:
    # OPS_BIND may name its host. Ports suffice: bind_addresses lets no other address have its port.
    return ops_bind is not None and address[1] == ops_bind[1]
