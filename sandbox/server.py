"""The HTTP server, from its start until a signal ends it."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flask import Flask
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server


class QuietHandler(WSGIRequestHandler):
    """Writes no line for each request, only for problems."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        del code, size


def listen(app: Flask, host: str, port: int, *, verbose: bool) -> BaseWSGIServer:
    """A server that listens, with a thread for each request; port 0: any free one."""
    handler = WSGIRequestHandler if verbose else QuietHandler
    return make_server(host, port, app, threaded=True, request_handler=handler)


@contextmanager
def serving(server: BaseWSGIServer) -> Iterator[None]:
    """Serves while the block runs."""
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


@contextmanager
def stop_event(*, on_eof: bool) -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set and, with `on_eof`, the end of standard input."""
    stop = threading.Event()
    previous = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in previous:
        signal.signal(number, lambda *_: stop.set())
    if on_eof:
        threading.Thread(target=_wait_for_eof, args=(stop.set,), daemon=True).start()
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _wait_for_eof(then: Callable[[], None]) -> None:
    # Below Python's buffer, whose lock, held by a blocked thread, would abort the exit.
    while os.read(sys.stdin.fileno(), 1024):
        pass
    then()
