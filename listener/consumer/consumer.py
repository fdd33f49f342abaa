"""The consumer library's front: `Consumer`."""

import os
import queue
import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar, Unpack

from listener.consumer import assembly, messages
from listener.consumer.engine import Engine
from listener.consumer.handlers import Handler, Handlers, handle
from listener.consumer.log import log
from listener.consumer.observer import Guarded, Observer
from listener.consumer.options import Chosen, Options
from listener.consumer.signals import caught
from listener.inspection.consumer_groups import HANDED_BACK, REQUEUED
from listener.messages.kinds import Message
from listener.settings import parsers
from listener.settings.queue_settings import DEFAULT_NAMESPACE, DEFAULT_URL, QueueSettings

H = TypeVar("H", bound=Handler)


class Consumer:
    """Reads the messages for one consumer group and gives them to handlers.

    Guaranteed: every message that is in the stream when the group is made, or comes later, is given to
    its kind's handler until one returned, or is in the group's dead stream. It is acknowledged after
    the handler returned, and so may be given to a handler again if this process, Redis or the way
    between them fails: be idempotent by `message.id`. Order: see `docs/consumer.md`.
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
        **options: Unpack[Chosen],
    ) -> None:
        """Connects to nothing yet.

        Args:
            redis_url: in one of the forms of REDIS_URL.
            group: those who share its name share the messages.
            name: of this consumer in the group; no two that live at once may have the same. One of
                its own for each process if it is not given.
            namespace: see QUEUE_NAMESPACE.
            partitions: see QUEUE_PARTITIONS; it must be the number that the listener has.
            only: the numbers of the partitions to read, from 0. Not given: all of them.
            observer: hears what happens.
            options: see `Options`.

        Raises:
            ValueError: an argument is not valid.
            TypeError: there is no such option.
        """
        if not group or not namespace or partitions < 1:
            raise ValueError("group and namespace must not be empty, and partitions at least 1")
        if name in ("", HANDED_BACK, REQUEUED):
            raise ValueError(f"name must not be empty, {HANDED_BACK!r} or {REQUEUED!r}")
        self._only = range(partitions) if only is None else sorted(set(only))
        if not self._only or not set(self._only) <= set(range(partitions)):
            raise ValueError(f"only may have numbers from 0 to {partitions - 1}, one at least")
        self.group = group
        self.options = Options(**options)
        self._name = name
        self._queue = QueueSettings(
            url=parsers.redis_url(redis_url),
            namespace=parsers.namespace(namespace),
            partitions=partitions,
        )
        self._observer = Observer() if observer is None else Guarded(observer)
        self._handlers = Handlers()
        # Its put() may be called by a signal handler while the same thread waits in its get().
        self._stops: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._running = threading.Lock()

    @classmethod
    def from_env(
        cls, *, group: str, environ: Mapping[str, str] = os.environ, **options: Any
    ) -> "Consumer":
        """Takes REDIS_URL, QUEUE_NAMESPACE and QUEUE_PARTITIONS from the environment.

        Args:
            group: see `Consumer`.
            environ: another environment.
            options: everything else that `Consumer` takes.

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

    def on(self, *kinds: str) -> Callable[[H], H]:
        """Decorates the handler of some kinds; without kinds, that of every other kind.

        A kind without any handler is acknowledged unhandled, and told once in the log.

        Raises:
            ValueError: there is no such kind, or it has a handler already.
            TypeError: it is used without parentheses, or for what is no plain function: a call of
                an `async def`, for one, does nothing yet.
        """
        self._handlers.check(kinds)

        def decorate(handler: H) -> H:
            self._handlers.add(kinds, handler)
            return handler

        return decorate

    def dispatch(self, message: Message | Mapping[str, Any] | str | bytes) -> bool:
        """Gives a message to its handler, here and now, without Redis: for tests.

        Args:
            message: as a handler gets it, or a sample for `listener.consumer.message`.

        Returns:
            Whether its kind has a handler. What the handler raises is raised.
        """
        typed = message if isinstance(message, Message) else messages.message(message)
        handler = self._handlers.find(typed.kind)
        if handler is None:
            return False
        handle(handler, typed)
        return True

    def run(self) -> None:
        """Handles messages until SIGTERM, SIGINT (in the main thread) or `stop`; then returns.

        What is in hand then has `shutdown_s` to be finished; the rest is handed back. At a second
        signal, or `stop`, everything is handed back at once. Without Redis it waits for Redis.

        Raises:
            RuntimeError: it runs already, or has no handler at all, and would acknowledge everything.
        """
        if self._handlers.is_empty:
            raise RuntimeError("there is no handler: every message would be acknowledged unhandled")
        if not self._running.acquire(blocking=False):
            raise RuntimeError("the consumer runs already")
        try:
            with caught(self.stop):
                self._run()
        finally:
            self._running.release()

    def stop(self) -> None:
        """Has `run` return, soon; the next one, if none is under way. May be called anywhere."""
        self._stops.put(None)

    def _run(self) -> None:
        context = assembly.context_of(
            self._queue,
            self._only,
            group=self.group,
            name=self._name,
            options=self.options,
            handlers=self._handlers,
            observer=self._observer,
        )
        engine = Engine(context)
        where = {"group": self.group, "consumer": context.consumer}
        log.info("consumer started", **where, unhandled=self._handlers.unhandled)
        try:
            engine.start()
            self._stops.get()
            log.info("consumer stopping", **where)
        finally:
            engine.finish(self._told_again)
            context.client.close()
            context.reading.close()
            # However often it was told: the next run is another matter.
            while self._told_again(0):
                pass

    def _told_again(self, wait_s: float) -> bool:
        try:
            self._stops.get(block=wait_s > 0, timeout=wait_s or None)
        except queue.Empty:
            return False
        return True
