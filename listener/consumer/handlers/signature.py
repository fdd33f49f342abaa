"""What can be a handler, and which message classes its parameter takes. Pure."""

import functools
import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Union, get_args, get_origin, get_type_hints

from listener.messages.kinds import KINDS_BY_NAME, UNKNOWN, Message, Unknown

Handler = Callable[[Any], object]
"""Takes one of the message classes; what it returns is ignored, what it raises is a failure."""

CLASSES: Mapping[str, type[Message]] = {
    **{name: kind.message for name, kind in KINDS_BY_NAME.items()},
    UNKNOWN: Unknown,
}


def check_handler(kinds: Sequence[str], handler: object) -> None:
    """Checks that something can be the handler of these kinds.

    Raises:
        TypeError: it is not callable, or only makes a generator, or its parameter is
            annotated with a class that the messages of a kind do not have.
    """
    if not callable(handler) or _is_any(
        handler, inspect.isgeneratorfunction, inspect.isasyncgenfunction
    ):
        raise TypeError(f"a handler must be a function of a message, no generator: {handler!r}")
    annotation = _parameter_annotation(handler)
    for kind in kinds:
        if not _accepts(annotation, CLASSES[kind]):
            raise TypeError(
                f"the messages of kind {kind} are {CLASSES[kind].__name__}, and the parameter of "
                f"{handler!r} is annotated {annotation!r}"
            )


def is_async(handler: object) -> bool:
    """Whether calling it makes a coroutine: an `async def`, a method, a partial or an object like one."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    return _is_any(handler, inspect.iscoroutinefunction)


def makes_async_manager(factory: object) -> bool:
    """Whether what it makes is surely an async context manager alone: `asynccontextmanager`, or such a class."""
    if isinstance(factory, type):
        return hasattr(factory, "__aenter__") and not hasattr(factory, "__enter__")
    inner = getattr(factory, "__wrapped__", None) if inspect.isfunction(factory) else None
    return inspect.isasyncgenfunction(inner)


def name_of(handler: object) -> str:
    """Its module and name, for logs."""
    function = getattr(handler, "func", handler)
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{getattr(function, '__module__', None) or '?'}.{name}"


def _is_any(handler: object, *tests: Callable[[object], bool]) -> bool:
    functions = (handler, getattr(handler, "__call__", None))  # noqa: B004 - the method is wanted
    return any(test(function) for function in functions for test in tests)


def _parameter_annotation(handler: Callable[..., object]) -> Any:
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
