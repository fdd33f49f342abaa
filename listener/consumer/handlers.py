"""Calls the program's own code: handlers, registered by kind or by message class."""

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints, overload

from listener.messages.kinds import (
    KIND_NAMES,
    KINDS_BY_NAME,
    UNKNOWN,
    FirmwareAvailable,
    Message,
    Unknown,
    UpgradeFinished,
    UpgradeScheduled,
    UpgradeStarted,
)

Handler = Callable[[Any], object]
"""Takes one of the message classes; what it returns is ignored, what it raises is a failure."""

A = TypeVar("A", bound=Message)
B = TypeVar("B", bound=Message)
C = TypeVar("C", bound=Message)
R = TypeVar("R")
H = TypeVar("H", bound=Handler)
# A handler of the class that the name says, or of a base class of it.
OfAny = TypeVar("OfAny", bound=Callable[[Message], object])
OfAvailable = TypeVar("OfAvailable", bound=Callable[[FirmwareAvailable], object])
OfScheduled = TypeVar("OfScheduled", bound=Callable[[UpgradeScheduled], object])
OfStarted = TypeVar("OfStarted", bound=Callable[[UpgradeStarted], object])
OfFinished = TypeVar("OfFinished", bound=Callable[[UpgradeFinished], object])
OfUnknown = TypeVar("OfUnknown", bound=Callable[[Unknown], object])

CLASSES: Mapping[str, type[Message]] = {
    **{name: kind.message for name, kind in KINDS_BY_NAME.items()},
    UNKNOWN: Unknown,
}


class HandlerRegistration:
    """The decorator `on`, typed by kind, over the handlers that it registers."""

    def __init__(self) -> None:
        self._handlers = Handlers()

    @overload
    def on(self) -> Callable[[OfAny], OfAny]: ...
    @overload
    def on(
        self, kind: Literal["firmware-available"] | type[FirmwareAvailable], /
    ) -> Callable[[OfAvailable], OfAvailable]: ...
    @overload
    def on(
        self, kind: Literal["upgrade-scheduled"] | type[UpgradeScheduled], /
    ) -> Callable[[OfScheduled], OfScheduled]: ...
    @overload
    def on(
        self, kind: Literal["upgrade-started"] | type[UpgradeStarted], /
    ) -> Callable[[OfStarted], OfStarted]: ...
    @overload
    def on(
        self, kind: Literal["upgrade-finished"] | type[UpgradeFinished], /
    ) -> Callable[[OfFinished], OfFinished]: ...
    @overload
    def on(
        self, kind: Literal["unknown"] | type[Unknown], /
    ) -> Callable[[OfUnknown], OfUnknown]: ...
    @overload
    def on(
        self, first: type[A], second: type[B], /
    ) -> Callable[[Callable[[A | B], R]], Callable[[A | B], R]]: ...
    @overload
    def on(
        self, first: type[A], second: type[B], third: type[C], /
    ) -> Callable[[Callable[[A | B | C], R]], Callable[[A | B | C], R]]: ...
    @overload
    def on(self, kind: str, /, *kinds: str | type[Message]) -> Callable[[H], H]: ...
    def on(self, *kinds: str | type[Message]) -> Callable[[Any], Any]:
        """Decorates the handler of some kinds; without kinds, that of every other kind.

        Messages without a handler are acknowledged; each such kind is logged once.

        Args:
            kinds: names, such as `"upgrade-finished"`, or message classes, such as `UpgradeFinished`.
                A type checker compares them with the handler's parameter; of several names together
                it checks nothing, and the registration does.

        Raises:
            ValueError: there is no such kind, or it has a handler already.
            TypeError: it is used without parentheses, or for something else than a plain function: a
                call of an `async def`, for example, only makes a coroutine; or the annotation of the
                handler's parameter is a message class that the messages of a kind do not have.
        """
        names = tuple(map(_kind_name, kinds))
        self._handlers.check(names)

        def decorate(handler: H) -> H:
            self._handlers.add(names, handler)
            return handler

        return decorate


class Handlers:
    """At most one handler for each kind, and at most one for all other kinds."""

    def __init__(self) -> None:
        self._by_kind: dict[str, Handler] = {}
        self._default: Handler | None = None

    def add(self, kinds: tuple[str, ...], handler: Handler) -> None:
        """Registers the handler of some kinds; without kinds, that of all other kinds.

        Raises:
            ValueError: see `check`.
            TypeError: it is not callable, or only makes a coroutine or a generator, or its parameter is
                annotated with a class that the messages of a kind do not have.
        """
        self.check(kinds)
        if not _is_plain_function(handler):
            raise TypeError(f"a handler must be a plain function of a message, not {handler!r}")
        _check_parameter(kinds or (UNKNOWN,), handler)
        if not kinds:
            self._default = handler
        self._by_kind.update(dict.fromkeys(kinds, handler))

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


def _kind_name(kind: object) -> str:
    """The name of a kind that is given by name or by message class."""
    if isinstance(kind, str):
        return kind
    for name, message_class in CLASSES.items():
        if kind is message_class:
            return name
    raise TypeError(f"{kind!r} is no kind; write @consumer.on() with its parentheses")


def _check_parameter(kinds: Sequence[str], handler: Handler) -> None:
    annotation = _parameter_annotation(handler)
    for kind in kinds:
        if not _accepts(annotation, CLASSES[kind]):
            raise TypeError(
                f"the messages of kind {kind} are {CLASSES[kind].__name__}, and the parameter of "
                f"{handler!r} is annotated {annotation!r}"
            )


def _parameter_annotation(handler: Handler) -> Any:
    """What the first parameter is annotated with; Any where that cannot be found out."""
    try:
        parameter = next(iter(inspect.signature(handler).parameters.values()))
        hints = get_type_hints(handler if inspect.isroutine(handler) else type(handler).__call__)
    except (StopIteration, TypeError, ValueError, NameError, AttributeError):
        # No parameter, no signature, or a name that is imported for type checkers only.
        return Any
    return hints.get(parameter.name, Any)


def _accepts(annotation: Any, message_class: type[Message]) -> bool:
    """Whether a parameter takes a message of the class; what is neither class nor union, it may."""
    if get_origin(annotation) in {Union, types.UnionType}:
        return any(_accepts(part, message_class) for part in get_args(annotation))
    if annotation is Any or not isinstance(annotation, type):
        return True
    return issubclass(message_class, annotation)


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
