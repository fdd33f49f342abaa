"""The watchdog of a request: it shuts down what is watched, and nothing that was released."""

import socket
import threading
from typing import Any

from registrar.http.connections import Watchdog


def is_shut_down(end: socket.socket) -> bool:
    end.settimeout(5)
    return end.recv(1) == b""


def test_expired_watchdog_shuts_down_what_is_watched_then_and_later() -> None:
    watchdog = Watchdog(60)
    early, early_end = socket.socketpair()
    late, late_end = socket.socketpair()
    with early, early_end, late, late_end:
        watchdog.watch(early)
        watchdog.expire()
        assert is_shut_down(early_end)
        watchdog.watch(late)
        assert is_shut_down(late_end)
        watchdog.close()


def test_closed_watchdog_shuts_nothing_down() -> None:
    watchdog = Watchdog(60)
    connection, end = socket.socketpair()
    with connection, end:
        watchdog.watch(connection)
        watchdog.close()
        watchdog.expire()
        connection.sendall(b"x")
        assert end.recv(1) == b"x"


def test_connection_is_released_only_after_it_was_shut_down() -> None:
    """Else the descriptor could belong to another socket by then."""
    watchdog = Watchdog(60)
    order: list[str] = []
    shutting_down, go_on = threading.Event(), threading.Event()

    class Handle:
        def shutdown(self, _how: int) -> None:
            shutting_down.set()
            go_on.wait(5)
            order.append("shutdown")

        def close(self) -> None:
            order.append("close")

    handle: Any = Handle()
    watchdog._handles.append(handle)
    expiry = threading.Thread(target=watchdog.expire)
    expiry.start()
    shutting_down.wait(5)
    release = threading.Thread(target=watchdog.close)
    release.start()
    release.join(0.1)
    assert order == []
    go_on.set()
    expiry.join(5)
    release.join(5)
    assert order == ["shutdown", "close"]
