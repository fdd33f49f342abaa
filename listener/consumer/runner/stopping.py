"""How a process that consumes stops: as its supervisor asks, or when the supervisor is gone."""

import signal
import socket
import threading
from types import FrameType

from listener.consumer.consumer import Consumer
from listener.consumer.runner.reports import STOP_AT_ONCE
from listener.safe_logger import SafeLogger

log = SafeLogger("listener.consumer.runner")

# Beyond shutdown_s, until a process without a supervisor ends itself.
ORPHAN_MARGIN_S = 20.0


class Stopper:
    """Passes on to the consumer that it is to stop.

    A platform such as Heroku sends SIGTERM to every process at once, and the supervisor asks besides: that is
    one request. Only the supervisor has everything handed back at once.
    """

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._is_first = threading.Lock()

    def stop(self) -> None:
        """Has the consumer finish what it has in hand; does nothing from the second call on."""
        if self._is_first.acquire(blocking=False):
            self._consumer.stop()

    def stop_at_once(self) -> None:
        """Has the consumer hand back what it has in hand."""
        self.stop()
        self._consumer.stop()

    def catch_signals(self) -> None:
        """Stops on SIGTERM and SIGINT from now on; called by the main thread."""

        def note(_number: int, _frame: FrameType | None) -> None:
            self.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, note)

    def follow(self, channel: socket.socket) -> None:
        """Does what the supervisor asks, until it is gone: then what is in hand is finished, within a limit."""
        while request := _receive(channel):
            if request == STOP_AT_ONCE:
                self.stop_at_once()
            else:
                self.stop()
        log.warning("supervisor gone; the consumer stops")
        # The kernel's own alarm: from here on its default action ends the process, also if a handler holds the
        # interpreter's lock. A handler that holds it already when the supervisor goes delays this line.
        signal.setitimer(signal.ITIMER_REAL, self._consumer.options.shutdown_s + ORPHAN_MARGIN_S)
        self.stop()


def _receive(channel: socket.socket) -> bytes:
    try:
        return channel.recv(1)
    except OSError:
        # A connection that fails says the same as one that was closed.
        return b""
