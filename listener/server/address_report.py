"""How the service says where it listens to the registrar that started it: a file that the registrar names."""

import json
import os
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from listener.settings.redis_url import Address

# Set by the registrar for COMMAND.
VARIABLE = "FOTA_ADDRESSES_FILE"

ListeningAddress = Address | str
"""Host and port, or the path of a Unix socket; an abstract one begins with NUL."""


def write(listeners: Iterable[Any], ops_bind: Address | None) -> None:
    """Writes the addresses of the public port, once. Without the variable it does nothing.

    Args:
        listeners: gunicorn's listening sockets.
        ops_bind: the operating port's address; it is left out.

    Raises:
        OSError: the file cannot be written.
    """
    name = os.environ.get(VARIABLE)
    if not name or Path(name).exists():
        return
    found = [_address(listener) for listener in listeners]
    public = [each for each in found if isinstance(each, str) or not _is_same(each, ops_bind)]
    fresh = Path(f"{name}.new")
    fresh.write_text(json.dumps(public))
    # In one step: the registrar reads either nothing or all.
    fresh.replace(name)


def read(path: Path) -> list[ListeningAddress] | None:
    """The addresses; None: COMMAND has written none yet.

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
    # OPS_BIND may be a host's name; gunicorn_guard sees to it that no other address has its port.
    return ops_bind is not None and address[1] == ops_bind[1]
