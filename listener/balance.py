"""Spreads connections over the workers, which all accept from the same sockets.

The operating system gives a new connection to whoever asks first, and so spreads a few dozen of them by
luck: 18 and 46 of 64 were seen on two workers. Then messages wait in one worker while the other one idles.
So a worker that is ahead of another one lets new connections lie for a moment.
"""

import mmap
from collections.abc import Callable
from typing import Any

import gevent
from gevent.server import StreamServer

# More than workers live at once, also while they are replaced.
PLACES = 256
# An idle worker accepts within a tenth of a millisecond. One that does not in this time is busy, or
# stopped, and no sender may wait for it.
WAIT_S = 0.002
# A worker may be ahead by one connection, or by this part of its own: a crowd is soon accepted.
AHEAD = 1 / 8
# So many are taken after each wait at the least: who is busy as well will not come for them soon.
TAKEN = 8

# What stands at a place, if not a worker that accepts: that has this and as many more as connections.
FREE, NOT_ACCEPTING, ACCEPTING = range(3)


class Share:
    """A worker's place among the others: how many connections each of them has, at all of its sockets."""

    def __init__(self, counts: memoryview, place: int) -> None:
        """Takes the numbers of all, and which of them is this worker's."""
        self._counts = counts
        self._place = place
        self._connections = 0
        self._accepts = False

    def accept(self, *, accepts: bool) -> None:
        """From now on the worker accepts, or nobody waits for it any more."""
        self._accepts = accepts
        self.add(0)

    def add(self, connections: int) -> None:
        """The worker has so many more connections, or fewer."""
        self._connections += connections
        count = ACCEPTING + self._connections if self._accepts else NOT_ACCEPTING
        self._counts[self._place] = count

    @property
    def lead(self) -> int:
        """By how many connections the worker may be ahead of another one."""
        return max(1, int(self._connections * AHEAD))

    def is_ahead(self) -> bool:
        """Whether another worker has so many fewer that the next connection should be its."""
        others = [
            count - ACCEPTING
            for place, count in enumerate(self._counts)
            if count >= ACCEPTING and place != self._place
        ]
        return bool(others) and self._connections - min(others) >= self.lead

    def leave(self) -> None:
        """The worker is gone: another one may have its place. For the master to call."""
        self._counts[self._place] = FREE


class Balance:
    """Memory that the master shares with its workers; to be made before the first of them is forked."""

    def __init__(self) -> None:
        """Takes a page of memory."""
        self._counts = memoryview(mmap.mmap(-1, 4 * PLACES)).cast("I")

    def enter(self) -> Share:
        """A place for a worker that is about to be forked. For the master to call.

        Where none is free, the worker neither waits for others nor they for it.
        """
        for place, count in enumerate(self._counts):
            if count == FREE:
                self._counts[place] = NOT_ACCEPTING
                return Share(self._counts, place)
        return Share(memoryview(bytearray(4)).cast("I"), 0)


class Server(StreamServer):  # type: ignore[misc]  # gevent has no type information
    """Accepts connections from one listening socket, and waits where its worker is ahead.

    Guaranteed: after each `WAIT_S` eight more are accepted, or an eighth of what the worker has, whatever
    the others do. So where all others are frozen, a thousand that come at once are accepted in some
    thirty waits, less than a tenth of a second.
    """

    # Between two of them another worker may come to its turn, and this one is asked only where one is there.
    max_accept = 1

    def __init__(
        self, listener: Any, handle: Callable[..., None], spawn: Any, share: Share, **tls: Any
    ) -> None:
        """Takes the socket, what serves a connection, a pool of greenlets, the worker's share, TLS if any."""
        self._share = share
        self._waits = False
        self._failed = False
        super().__init__(listener, handle=handle, spawn=spawn, **tls)

    def start(self) -> None:
        """Begins to accept."""
        self._share.accept(accepts=True)
        super().start()

    def close(self) -> None:
        """Accepts no more; connections are served to their ends."""
        self._share.accept(accepts=False)
        super().close()

    def do_read(self) -> Any:
        """Called by gevent where a connection is there: takes it, or lets it lie for a moment."""
        if self._share.is_ahead() and not self._failed:
            self.stop_accepting()
            if not self._waits:
                self._waits = True
                gevent.spawn_later(WAIT_S, self._go_on)
            return None
        self._failed = False
        return self._accept()

    def do_close(self, *accepted: Any) -> None:
        """Called by gevent once a connection was served, or could not be."""
        self._share.add(-1)
        super().do_close(*accepted)

    def _accept(self) -> Any:
        accepted = super().do_read()
        if accepted:
            self._share.add(1)
        return accepted

    def _go_on(self) -> None:
        """Takes what others let lie, and waits for more."""
        self._waits = False
        try:
            for _ in range(max(TAKEN, self._share.lead)):
                if not self.started or self.full() or not (accepted := self._accept()):
                    break
                self.do_handle(*accepted)
        except OSError:
            # gevent meets it at once when it looks itself, and knows when to try again.
            self._failed = True
        finally:
            if self.started:
                self.start_accepting()
