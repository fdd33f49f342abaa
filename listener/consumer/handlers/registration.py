"""The decorators of a consumer: `on`, typed by kind, and `around`."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Literal, TypeVar, Unpack, overload

from listener.consumer.handlers.options import HandlerOptions, HandlerOptionsDict
from listener.consumer.handlers.registry import Handlers
from listener.consumer.handlers.signature import CLASSES, Handler
from listener.messages.kinds import (
    FirmwareAvailable,
    Message,
    Unknown,
    UpgradeFinished,
    UpgradeScheduled,
    UpgradeStarted,
)

A = TypeVar("A", bound=Message)
B = TypeVar("B", bound=Message)
C = TypeVar("C", bound=Message)
R = TypeVar("R")
H = TypeVar("H", bound=Handler)
# A handler of the class that the name says, or of a base class of it. What it returns is ignored.
OfAny = TypeVar("OfAny", bound=Callable[[Message], object])
OfAvailable = TypeVar("OfAvailable", bound=Callable[[FirmwareAvailable], object])
OfScheduled = TypeVar("OfScheduled", bound=Callable[[UpgradeScheduled], object])
OfStarted = TypeVar("OfStarted", bound=Callable[[UpgradeStarted], object])
OfFinished = TypeVar("OfFinished", bound=Callable[[UpgradeFinished], object])
OfUnknown = TypeVar("OfUnknown", bound=Callable[[Unknown], object])
# Every message is a `Message`, so what surrounds the handlers takes any.
Around = TypeVar(
    "Around",
    bound=Callable[[Message], AbstractContextManager[Any] | AbstractAsyncContextManager[Any]],
)


class HandlerRegistration:
    """The decorators, over the handlers that they register."""

    def __init__(self) -> None:
        self._handlers = Handlers()

    @property
    def handlers(self) -> Handlers:
        """What is registered. Read by `listener.consumer.testing`; its class is not part of the contract."""
        return self._handlers

    @overload
    def on(self, **options: Unpack[HandlerOptionsDict]) -> Callable[[OfAny], OfAny]: ...
    @overload
    def on(
        self,
        kind: Literal["firmware-available"] | type[FirmwareAvailable],
        /,
        **options: Unpack[HandlerOptionsDict],
    ) -> Callable[[OfAvailable], OfAvailable]: ...
    @overload
    def on(
        self,
        kind: Literal["upgrade-scheduled"] | type[UpgradeScheduled],
        /,
        **options: Unpack[HandlerOptionsDict],
    ) -> Callable[[OfScheduled], OfScheduled]: ...
    @overload
    def on(
        self,
        kind: Literal["upgrade-started"] | type[UpgradeStarted],
        /,
        **options: Unpack[HandlerOptionsDict],
    ) -> Callable[[OfStarted], OfStarted]: ...
    @overload
    def on(
        self,
        kind: Literal["upgrade-finished"] | type[UpgradeFinished],
        /,
        **options: Unpack[HandlerOptionsDict],
    ) -> Callable[[OfFinished], OfFinished]: ...
    @overload
    def on(
        self,
        kind: Literal["unknown"] | type[Unknown],
        /,
        **options: Unpack[HandlerOptionsDict],
    ) -> Callable[[OfUnknown], OfUnknown]: ...
    @overload
    def on(
        self, first: type[A], second: type[B], /, **options: Unpack[HandlerOptionsDict]
    ) -> Callable[[Callable[[A | B], R]], Callable[[A | B], R]]: ...
    @overload
    def on(
        self,
        first: type[A],
        second: type[B],
        third: type[C],
        /,
        **options: Unpack[HandlerOptionsDict],
    ) -> Callable[[Callable[[A | B | C], R]], Callable[[A | B | C], R]]: ...
    @overload
    def on(
        self, kind: str, /, *kinds: str | type[Message], **options: Unpack[HandlerOptionsDict]
    ) -> Callable[[H], H]: ...
    def on(
        self, *kinds: str | type[Message], **options: Unpack[HandlerOptionsDict]
    ) -> Callable[[Any], Any]:
        """Decorates the handler of some kinds; without kinds, that of every other kind.

        Messages without a handler are acknowledged; each such kind is logged once.

        Args:
            kinds: names, such as `"upgrade-finished"`, or message classes, such as `UpgradeFinished`.
                A type checker compares them with the handler's parameter; of several names together
                it checks nothing, and the registration does.
            options: see `HandlerOptions`.

        Raises:
            ValueError: there is no such kind, or it has a handler already, or an option is not valid.
            TypeError: it is used without parentheses, or for something else than a function, plain or
                `async`: a call of a generator does nothing yet; or the annotation of the handler's
                parameter is a message class that the messages of a kind do not have; or there is no such
                option.
        """
        names = tuple(map(_kind_name, kinds))
        handler_options = HandlerOptions(**options)
        self._handlers.check(names)

        def decorate(handler: H) -> H:
            self._handlers.add(names, handler, handler_options)
            return handler

        return decorate

    def around(self, factory: Around) -> Around:
        """Calls every handler within a context manager that `factory` makes of its message. A decorator too.

        Of several the first registered is the outermost. What one raises counts as raised by the
        handler, and what the handler raises goes through all of them.

        Args:
            factory: takes a message and returns a context manager: a function under `contextmanager`, or
                a class. It may be an async one if every handler is async, and one that is both is
                entered as an async one by async handlers. Handlers fail with a TypeError if it returns
                anything else.

        Raises:
            TypeError: it is not callable.
        """
        if not callable(factory):
            raise TypeError(f"around() takes a function that makes a context manager: {factory!r}")
        self._handlers.surroundings.append(factory)
        return factory


def _kind_name(kind: object) -> str:
    """The name of a kind that is given by name or by message class."""
    if isinstance(kind, str):
        return kind
    for name, message_class in CLASSES.items():
        if kind is message_class:
            return name
    raise TypeError(f"{kind!r} is no kind; write @consumer.on() with its parentheses")
