"""A server for one connection, which a function answers as badly as a test wants, for the integration tests."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# What the client's request is followed by: sends what it likes, and returns once the event is set.
Answer = Callable[[socket.socket, threading.Event], None]


@contextmanager
def server(answer: Answer) -> Iterator[str]:
    """The URL of the server during the block; at its end the event is set."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                # A client that has closed its end may leave us waiting for room.
                connection.settimeout(1)
                try:
                    connection.recv(65536)
                    answer(connection, over)
                except OSError:
                    # The other side has had enough, which is what the test is about.
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            over.set()
            thread.join()
