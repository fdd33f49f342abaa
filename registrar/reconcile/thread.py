"""Runs the reconcile loop in a thread of its own, as the supervisor wants it."""

import threading
from collections.abc import Callable
from typing import Protocol

import structlog

from registrar.reconcile.loop import ReconcileLoop

log = structlog.get_logger("registrar")


class OtherLoop(Protocol):
    """A loop in a thread of its own that nobody waits for."""

    def start(self) -> None:
        """Begins."""

    def stop(self) -> None:
        """Ends soon."""


class LoopThread:
    """The loop in a daemon thread: a call that hangs must not keep the process from ending in time.

    Args:
        loop: runs once.
        on_finished: called at the very end, from the thread.
        beside: another loop that runs for as long as this one; None: there is none.
    """

    def __init__(
        self,
        loop: ReconcileLoop,
        on_finished: Callable[[], None],
        beside: OtherLoop | None = None,
    ) -> None:
        self._loop = loop
        self._beside = beside
        self._on_finished = on_finished
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._run, name="registrar", daemon=True)
        self.abort = loop.abort
        self.withdraw = loop.withdraw

    def start(self) -> None:
        """Begins."""
        self._thread.start()
        if self._beside:
            self._beside.start()

    def stop(self, *, drain: bool = False) -> None:
        """Begins the shutdown: see `ReconcileLoop.stop`. The other loop begins nothing more."""
        if self._beside:
            self._beside.stop()
        self._loop.stop(drain=drain)

    @property
    def running(self) -> bool:
        """Whether the shutdown is still to come, or under way."""
        return not self._finished.is_set()

    @property
    def failed(self) -> bool:
        """Whether the loop ended by itself, because it can never register."""
        return self._loop.failed

    def _run(self) -> None:
        try:
            self._loop.run()
        except Exception:
            log.exception("registrar failed")
        finally:
            # In every case: the supervisor waits for this before it stops COMMAND.
            self._finished.set()
            self._on_finished()
