"""What every connection to Redis must have: keepalive, and an age beyond which it is not used unseen."""

import socket
from typing import Any

import pytest

# redis-py's own; see get_default_socket_keepalive_options.
PROBES = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}


def assert_probed(client: Any) -> None:
    """The client's connections are probed while nothing comes."""
    pool = client.connection_pool
    made = pool.get_connection()
    try:
        sock = made._sock
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        found = {
            name: sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in PROBES
        }
        assert found == PROBES
    finally:
        pool.release(made)


def assert_replaced_after_a_rest(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's connections are reused, and one that rested too long is not."""
    first = client.client_id()
    assert client.client_id() == first
    monkeypatch.setattr("listener.redis_client.connection_pool.MAX_IDLE_S", 0.0)
    assert client.client_id() != first
    monkeypatch.undo()
