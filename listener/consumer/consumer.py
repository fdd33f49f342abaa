"""The consumer library's entry point: `Consumer`, which registers handlers, runs, and stops on signals."""

import asyncio
import os
import queue
import signal
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Unpack

from listener.consumer import messages
from listener.consumer.handlers.calls import call_async, call_plain, in_event_loop
from listener.consumer.handlers.overdue import Overdue
from listener.consumer.handlers.registration import HandlerRegistration
from listener.consumer.monitoring.health import Health
from listener.consumer.options import ConsumerOptions, Observer, Options, SafeObserver
from listener.consumer.run_context import build_run_context
from listener.consumer.threads import ConsumerThreads
from listener.inspection.consumer_groups import HANDED_BACK, REQUEUED
from listener.messages.kinds import Message
from listener.safe_logger import SafeLogger
from listener.settings import parsers
from listener.settings.queue_settings import DEFAULT_NAMESPACE, DEFAULT_URL, QueueSettings

log = SafeLogger("listener.consumer")


class Consumer(HandlerRegistration):
    """Reads the messages for one consumer group and gives them to handlers.

    Guaranteed: every message that is in the stream when the group is created, or comes later, is given
    to the handler of its kind until it returns, or is moved to the group's dead stream. A message is
    acknowledged after the handler returned, and so may be given to a handler again if this process,
    Redis or the connection fails: be idempotent by `message.id`. Order: see `docs/consumer.md`.

    Attributes:
        group: the name of the consumer group.
        name: of this consumer; None: a unique one for each run. May be set before `run`.
        only: the numbers of the partitions to read. May be set before `run`.
        queue: the address of the queue.
        options: how it works.
        observers: are called when something happens. More may be appended before `run`.
    """

    def __init__(
        self,
        redis_url: str = DEFAULT_URL,
        *,
        group: str,
        name: str | None = None,
        namespace: str = DEFAULT_NAMESPACE,
        partitions: int = 1,
        only: Collection[int] | None = None,
        observer: Observer | None = None,
        **options: Unpack[ConsumerOptions],
    ) -> None:
        """Connects to nothing yet.

        Args:
            redis_url: in one of the forms of REDIS_URL.
            group: consumers with the same group share the messages.
            name: of this consumer in the group; two that run at once must not share one. Default: a
                unique one for each run.
            namespace: see QUEUE_NAMESPACE.
            partitions: see QUEUE_PARTITIONS; it must be the number that the listener has.
            only: the numbers of the partitions to read, from 0. Default: all of them.
            observer: is called when something happens.
            options: see `Options`.

        Raises:
            ValueError: an argument is not valid.
            TypeError: there is no such option.
        """
        super().__init__()
        if not group or not namespace or partitions < 1:
            raise ValueError("group and namespace must not be empty, and partitions at least 1")
        if name in ("", HANDED_BACK, REQUEUED):
            raise ValueError(f"name must not be empty, {HANDED_BACK!r} or {REQUEUED!r}")
        self.only: Collection[int] = range(partitions) if only is None else sorted(set(only))
        if not self.only or not set(self.only) <= set(range(partitions)):
            raise ValueError(f"only may have numbers from 0 to {partitions - 1}, one at least")
        self.group = group
        self.namespace = namespace
        self.options = Options(**options)
        self.name = name
        self.queue = QueueSettings(
            url=parsers.redis_url(redis_url),
            namespace=parsers.namespace(namespace),
            partitions=partitions,
        )
        self.observers = [] if observer is None else [observer]
        # Its put() may be called by a signal handler while the same thread waits in its get().
        self._stop_requests: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._running = threading.Lock()
        self._threads: ConsumerThreads | None = None

    @classmethod
    def from_env(
        cls, *, group: str, environ: Mapping[str, str] = os.environ, **options: Any
    ) -> "Consumer":
        """Reads REDIS_URL, QUEUE_NAMESPACE and QUEUE_PARTITIONS from the environment.

        Args:
            group: see `Consumer`.
            environ: another environment.
            options: all other arguments of `Consumer`.

        Raises:
            SettingsError: with every problem of the environment.
            ValueError: an argument is not valid.
        """
        queue_settings = QueueSettings.from_env(environ)
        return cls(
            queue_settings.url.reveal(),
            group=group,
            namespace=queue_settings.namespace,
            partitions=queue_settings.partitions,
            **options,
        )

    def dispatch(self, message: Message | Mapping[str, Any] | str | bytes) -> bool:
        """Gives a message to its handler, without Redis and retries: for tests.

        A plain handler is called in this thread, an async one in an event loop that ends with it. See
        `listener.consumer.testing` for tests of retries, order and dead letters.

        Args:
            message: as a handler gets it, or a sample for `listener.consumer.message`.

        Returns:
            Whether a handler was given it. What the handler raises is raised.

        Raises:
            RuntimeError: the handler is async, and this is called within an event loop: use
                `dispatch_async` there.
        """
        typed = message if isinstance(message, Message) else messages.message(message)
        handler = self._handlers.for_message(typed)
        if handler is None:
            return False
        if not handler.is_async:
            call_plain(handler, typed, self._handlers.surroundings)
        elif in_event_loop():
            raise RuntimeError("the handler is async: await dispatch_async() within an event loop")
        else:
            asyncio.run(call_async(handler, typed, self._handlers.surroundings))
        return True

    async def dispatch_async(self, message: Message | Mapping[str, Any] | str | bytes) -> bool:
        """Does the same as `dispatch`, within the caller's event loop."""
        typed = message if isinstance(message, Message) else messages.message(message)
        handler = self._handlers.for_message(typed)
        if handler is None or not handler.is_async:
            return self.dispatch(typed)
        await call_async(handler, typed, self._handlers.surroundings)
        return True

    def run(self) -> None:
        """Handles messages until SIGTERM, SIGINT (in the main thread) or `stop`; then returns.

        The messages in flight then have `shutdown_s` to be finished; the rest is handed back. On a second
        signal, or `stop`, everything is handed back at once. If Redis is unavailable, it waits for it.

        Raises:
            RuntimeError: it is running already, or has no handler at all and would acknowledge everything.
            TypeError: an async context manager is to surround a plain handler.
        """
        self.check()
        if not self._running.acquire(blocking=False):
            raise RuntimeError("the consumer runs already")
        try:
            with stop_on_signals(self.stop):
                self._run()
        finally:
            self._running.release()

    @property
    def has_handlers(self) -> bool:
        """Whether any handler is registered; without one `run` refuses to begin."""
        return not self._handlers.is_empty

    def check(self) -> None:
        """Checks, as `run` does at first, that the handlers can work.

        Raises:
            RuntimeError: there is no handler at all.
            TypeError: an async context manager is to surround a plain handler.
        """
        if self._handlers.is_empty:
            raise RuntimeError("there is no handler: every message would be acknowledged unhandled")
        self._handlers.check_surroundings()

    def health(self) -> Health:
        """How the run is that is under way, for probes; never asks Redis. May be called anywhere."""
        threads = self._threads
        return threads.health() if threads else Health(is_running=False)

    def stop(self) -> None:
        """Makes `run` return soon, or the next `run`, if none is under way. May be called anywhere."""
        self._stop_requests.put(None)

    @property
    def overdue(self) -> tuple[Overdue, ...]:
        """The handlers that have been running for longer than their `timeout_s`, now. Thread-safe."""
        return self.health().overdue

    def _run(self) -> None:
        run = build_run_context(
            self.queue,
            self.only,
            group=self.group,
            name=self.name,
            options=self.options,
            handlers=self._handlers,
            observer=SafeObserver(*self.observers) if self.observers else Observer(),
        )
        threads = self._threads = ConsumerThreads(run)
        names = {"group": self.group, "consumer": run.consumer}
        log.info("consumer started", **names, unhandled=self._handlers.unhandled)
        try:
            threads.start()
            self._stop_requests.get()
            log.info("consumer stopping", **names)
        finally:
            threads.finish(self._stop_requested_again)
            self._threads = None
            run.close()
            # Further requests must not stop the next run.
            while self._stop_requested_again(0):
                pass

    def _stop_requested_again(self, wait_s: float) -> bool:
        try:
            self._stop_requests.get(block=wait_s > 0, timeout=wait_s or None)
        except queue.Empty:
            return False
        return True


@contextmanager
def stop_on_signals(stop: Callable[[], object]) -> Iterator[None]:
    """Calls `stop` on SIGTERM and SIGINT while the block runs; outside the main thread it does nothing.

    `stop` is called between any two instructions of the main thread: it must not wait for a lock.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = (signal.SIGTERM, signal.SIGINT)
    previous = {number: signal.getsignal(number) for number in signals}
    for number in signals:
        signal.signal(number, lambda *_: stop())
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
