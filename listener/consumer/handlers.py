"""Calls the program's own code: handlers, registered by kind, and the observer."""

import inspect
from collections.abc import Callable
from typing import Any

from listener.messages.kinds import KIND_NAMES, UNKNOWN
from listener.safe_logger import SafeLogger

log = SafeLogger("listener.consumer")

Handler = Callable[[Any], object]
"""Takes one of the message classes; what it returns is ignored, what it raises is a failure."""


class Handlers:
    """At most one handler for each kind, and at most one for all other kinds."""

    def __init__(self) -> None:
        self._by_kind: dict[str, Handler] = {}
        self._default: Handler | None = None

    def add(self, kinds: tuple[str, ...], handler: Handler) -> None:
        """Registers the handler of some kinds; without kinds, that of all other kinds.

        Raises:
            ValueError: see `check`.
            TypeError: see `check`; or it is not callable, or only makes a coroutine or a generator.
        """
        self.check(kinds)
        if not _is_plain_function(handler):
            raise TypeError(f"a handler must be a plain function of a message, not {handler!r}")
        if not kinds:
            self._default = handler
        self._by_kind.update(dict.fromkeys(kinds, handler))

    def check(self, kinds: tuple[str, ...]) -> None:
        """Checks that a handler may be registered for some kinds.

        Raises:
            ValueError: there is no such kind, or it has a handler already.
            TypeError: a kind is not a string.
        """
        for kind in kinds:
            if not isinstance(kind, str):
                raise TypeError(f"{kind!r} is no kind; write @consumer.on() with its parentheses")
            if kind not in KIND_NAMES:
                raise ValueError(
                    f"there is no kind {kind!r}; the kinds are {', '.join(KIND_NAMES)}"
                )
            if kind in self._by_kind:
                raise ValueError(f"the kind {kind} has a handler already")
        if not kinds and self._default is not None:
            raise ValueError("there is a handler for the rest already")

    def find(self, kind: str) -> Handler | None:
        """The handler of a kind, if any; an unrecognised kind without a default is handled as `unknown`."""
        handler = self._by_kind.get(kind, self._default)
        if handler is None and kind not in KIND_NAMES:
            return self._by_kind.get(UNKNOWN)
        return handler

    @property
    def is_empty(self) -> bool:
        """Whether there is no handler at all."""
        return not self._by_kind and self._default is None

    @property
    def unhandled(self) -> list[str]:
        """The known kinds without any handler."""
        return [kind for kind in KIND_NAMES if self.find(kind) is None]


def handle(handler: Handler, message: Any) -> None:
    """Calls a handler; what it raises is raised.

    Raises:
        TypeError: it returned a coroutine or a generator, which has done nothing yet: a plain
            function around an `async def`, as decorators make it, does so.
    """
    result = handler(message)
    if result is None:
        return
    if inspect.iscoroutine(result):
        result.close()
    if inspect.isawaitable(result) or inspect.isgenerator(result) or inspect.isasyncgen(result):
        raise TypeError(f"the handler did nothing yet: it returned a {type(result).__name__}")


def _is_plain_function(handler: object) -> bool:
    """Whether a call does the work, instead of making a coroutine or a generator that would do it."""
    return callable(handler) and not any(
        test(function)
        for function in (handler, getattr(handler, "__call__", None))  # noqa: B004 - the method is wanted
        for test in (
            inspect.iscoroutinefunction,
            inspect.isgeneratorfunction,
            inspect.isasyncgenfunction,
        )
    )


class Observer:
    """Is called when something happens, for metrics. Does nothing: override the methods that you want.

    The methods are called by the consumer's threads, several at once, and never under a lock. They
    should return soon. What they raise is logged and changes nothing.
    """

    def received(self, messages: int, partition: int) -> None:
        """Messages came from the stream, for the first time for this group."""

    def taken_over(self, messages: int, partition: int) -> None:
        """Messages came from consumers that died, were handed back, or requeued."""

    def handled(self, kind: str, seconds: float) -> None:
        """A handler returned after `seconds`; the acknowledgement follows."""

    def failed(self, kind: str, error: BaseException) -> None:
        """A handler raised; `retried` or `buried` follows."""

    def retried(self, kind: str, delay_s: float) -> None:
        """A message whose handler raised will be handled again in `delay_s` seconds."""

    def buried(self, kind: str, reason: str) -> None:
        """A message went to the dead stream: `handler-failed`, `crashed` or `malformed`."""

    def lost(self, messages: int) -> None:
        """Messages were in flight and belong to another consumer now."""


class SafeObserver(Observer):
    """Calls another observer, and logs what that one raises."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def received(self, messages: int, partition: int) -> None:
        self._call("received", messages, partition)

    def taken_over(self, messages: int, partition: int) -> None:
        self._call("taken_over", messages, partition)

    def handled(self, kind: str, seconds: float) -> None:
        self._call("handled", kind, seconds)

    def failed(self, kind: str, error: BaseException) -> None:
        self._call("failed", kind, error)

    def retried(self, kind: str, delay_s: float) -> None:
        self._call("retried", kind, delay_s)

    def buried(self, kind: str, reason: str) -> None:
        self._call("buried", kind, reason)

    def lost(self, messages: int) -> None:
        self._call("lost", messages)

    def _call(self, method: str, *args: object) -> None:
        try:
            getattr(self._observer, method)(*args)
        except BaseException:
            log.exception("the observer failed", method=method)
