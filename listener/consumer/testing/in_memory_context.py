"""The parts of a run in memory that differ from one on Redis: the clock, the backoff, and who waits for what."""

import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from listener.consumer.deliveries.context import DeliveryContext
from listener.consumer.handlers.event_loop import EventLoop, Work
from listener.consumer.handlers.registry import RegisteredHandler
from listener.consumer.options import Backoff, Observer


class FakeClock:
    """A clock that goes only when it is moved. Called, it returns monotonic seconds."""

    def __init__(self, start: datetime) -> None:
        """Raises ValueError: `start` has no time zone."""
        if start.tzinfo is None:
            raise ValueError("start needs a time zone, such as UTC")
        self._start = start.astimezone(UTC)
        self._passed_s = 0.0

    def __call__(self) -> float:
        return self._passed_s

    @property
    def now(self) -> datetime:
        """The time of day, in UTC."""
        return self._start + timedelta(seconds=self._passed_s)

    def move_to(self, passed_s: float) -> None:
        """Sets the seconds since the start; never backwards."""
        self._passed_s = max(self._passed_s, passed_s)


@dataclass(frozen=True, kw_only=True)
class InMemoryContext(DeliveryContext):
    """Without chance: a message waits for the whole of its backoff."""

    def backoff(self, handler: RegisteredHandler) -> Backoff:
        """The same each time, so that a test knows when a message comes again."""
        return replace(super().backoff(handler), jitter=0.0)


class SynchronousEventLoop(EventLoop):
    """The event loop of a real run, but `start` returns only when the work has ended."""

    def start(self, work: Work) -> None:
        """See there."""
        ended = threading.Event()

        async def work_and_report() -> None:
            try:
                await work()
            finally:
                ended.set()

        super().start(work_and_report)
        ended.wait()


class LastFailure(Observer):
    """What the handler that was called last raised, and when its message comes again."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.retry_in_s: float | None = None

    def reset(self) -> None:
        """Forgets both, before the next handler is called."""
        self.error = self.retry_in_s = None

    def failed(self, kind: str, error: BaseException) -> None:  # noqa: ARG002 - see Observer
        self.error = error

    def retried(self, kind: str, delay_s: float) -> None:  # noqa: ARG002 - see Observer
        self.retry_in_s = delay_s
