"""SIGTERM and SIGINT, while a consumer runs."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def caught(stop: Callable[[], object]) -> Iterator[None]:
    """Has `stop` called on a signal while the block runs; in the main thread only, elsewhere nothing.

    `stop` is called between any two instructions of the main thread: it must not wait for a lock.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        signal.signal(number, lambda *_: stop())
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
