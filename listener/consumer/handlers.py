"""Which handler a kind has. Pure."""

import inspect
from collections.abc import Callable
from typing import Any

from listener.messages.kinds import KIND_NAMES, UNKNOWN

Handler = Callable[[Any], object]
"""Takes one of the message classes; what it returns is ignored, what it raises is a failure."""


class Handlers:
    """At most one handler for each kind, and at most one for the rest."""

    def __init__(self) -> None:
        """No kind has one."""
        self._by_kind: dict[str, Handler] = {}
        self._rest: Handler | None = None

    def add(self, kinds: tuple[str, ...], handler: Handler) -> None:
        """Gives kinds their handler; no kinds: it is the one for every other kind.

        Raises:
            ValueError: see `check`.
            TypeError: it is not callable, or a call would only make a coroutine or a generator.
        """
        self.check(kinds)
        if not _does_it(handler):
            raise TypeError(f"a handler must be a plain function of a message, not {handler!r}")
        if not kinds:
            self._rest = handler
        self._by_kind.update(dict.fromkeys(kinds, handler))

    def check(self, kinds: tuple[str, ...]) -> None:
        """Whether kinds may be given a handler.

        Raises:
            ValueError: there is no such kind, or it has a handler already.
            TypeError: a kind is no text.
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
        if not kinds and self._rest is not None:
            raise ValueError("there is a handler for the rest already")

    def find(self, kind: str) -> Handler | None:
        """The handler of a kind; None if it has none, and there is none for the rest.

        A kind of a later version, without one for the rest, is `unknown`, which it was before.
        """
        handler = self._by_kind.get(kind, self._rest)
        if handler is None and kind not in KIND_NAMES:
            return self._by_kind.get(UNKNOWN)
        return handler

    @property
    def is_empty(self) -> bool:
        """Whether there is no handler at all."""
        return not self._by_kind and self._rest is None

    @property
    def unhandled(self) -> list[str]:
        """The known kinds without any handler."""
        return [kind for kind in KIND_NAMES if self.find(kind) is None]


def handle(handler: Handler, message: Any) -> None:
    """Calls a handler; what it raises is raised.

    Raises:
        TypeError: it returned what would do the work, and did not do it: there is, for one, a plain
            function round an `async def`, as decorators make it.
    """
    result = handler(message)
    if result is None:
        return
    if inspect.iscoroutine(result):
        result.close()
    if inspect.isawaitable(result) or inspect.isgenerator(result) or inspect.isasyncgen(result):
        raise TypeError(f"the handler did nothing yet: it returned a {type(result).__name__}")


def _does_it(handler: object) -> bool:
    """Whether a call does the work, not only makes what would: that message would be unhandled."""
    return callable(handler) and not any(
        test(it)
        for it in (handler, getattr(handler, "__call__", None))  # noqa: B004 - the method is wanted
        for test in (
            inspect.iscoroutinefunction,
            inspect.isgeneratorfunction,
            inspect.isasyncgenfunction,
        )
    )
