"""The handlers of a consumer by kind, each with its options, and what surrounds all of them."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from listener.consumer.handlers.options import HandlerOptions
from listener.consumer.handlers.signature import (
    Handler,
    check_handler,
    is_async,
    makes_async_manager,
    name_of,
)
from listener.messages.kinds import KIND_NAMES, UNKNOWN, Message

Surrounding = Callable[[Any], AbstractContextManager[Any] | AbstractAsyncContextManager[Any]]
"""Takes a message; makes the context manager that its handler is called in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisteredHandler:
    """A handler with its options, and whether it is called in the event loop."""

    call: Handler
    is_async: bool = False
    options: HandlerOptions = field(default_factory=HandlerOptions)

    @property
    def name(self) -> str:
        """Its module and name."""
        return name_of(self.call)


class Handlers:
    """At most one handler for each kind, and at most one for all other kinds."""

    def __init__(self) -> None:
        self._by_kind: dict[str, RegisteredHandler] = {}
        self._default: RegisteredHandler | None = None
        self.surroundings: list[Surrounding] = []

    def add(
        self, kinds: tuple[str, ...], handler: Handler, options: HandlerOptions | None = None
    ) -> None:
        """Registers the handler of some kinds; without kinds, that of all other kinds.

        Raises:
            ValueError: see `check`.
            TypeError: see `check_handler`.
        """
        self.check(kinds)
        check_handler(kinds or (UNKNOWN,), handler)
        registered = RegisteredHandler(
            call=handler,
            is_async=is_async(handler),
            options=options or HandlerOptions(),
        )
        if not kinds:
            self._default = registered
        self._by_kind.update(dict.fromkeys(kinds, registered))

    def check(self, kinds: tuple[str, ...]) -> None:
        """Checks that a handler may be registered for some kinds.

        Raises:
            ValueError: there is no such kind, or it has a handler already.
        """
        for kind in kinds:
            if kind not in KIND_NAMES:
                raise ValueError(
                    f"there is no kind {kind!r}; the kinds are {', '.join(KIND_NAMES)}"
                )
            if kind in self._by_kind:
                raise ValueError(f"the kind {kind} has a handler already")
        if not kinds and self._default is not None:
            raise ValueError("there is a handler for the rest already")

    def for_message(self, message: Message) -> RegisteredHandler | None:
        """The handler that a message is given to, if any."""
        handler = self.find(message.kind)
        if handler and message.recovered and not handler.options.recovered:
            return None
        return handler

    def find(self, kind: str) -> RegisteredHandler | None:
        """The handler of a kind, if any; an unrecognised kind without a default is handled as `unknown`."""
        handler = self._by_kind.get(kind, self._default)
        if handler is None and kind not in KIND_NAMES:
            return self._by_kind.get(UNKNOWN)
        return handler

    def check_surroundings(self) -> None:
        """Checks that no async context manager is to surround a plain handler, as far as that shows.

        Raises:
            TypeError: one is; it would fail every delivery.
        """
        plain = next((each for each in self._registered if not each.is_async), None)
        factory = next(filter(makes_async_manager, self.surroundings), None)
        if plain and factory:
            raise TypeError(
                f"{name_of(factory)} makes async context managers, which cannot surround the plain "
                f"handler {plain.name}"
            )

    @property
    def _registered(self) -> tuple[RegisteredHandler, ...]:
        return (*self._by_kind.values(), *filter(None, [self._default]))

    @property
    def has_plain(self) -> bool:
        """Whether any handler is a plain function, which needs a thread while it runs."""
        return not all(handler.is_async for handler in self._registered)

    @property
    def is_empty(self) -> bool:
        """Whether there is no handler at all."""
        return not self._by_kind and self._default is None

    @property
    def unhandled(self) -> list[str]:
        """The known kinds without any handler."""
        return [kind for kind in KIND_NAMES if self.find(kind) is None]
