"""Calls a handler within the context managers that surround it."""

import inspect
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from listener.consumer.handlers.registry import RegisteredHandler, Surrounding
from listener.consumer.handlers.signature import Handler


def call_plain(
    handler: RegisteredHandler, message: Any, surroundings: Sequence[Surrounding]
) -> None:
    """Calls a plain handler; what it or a context manager raises is raised.

    Raises:
        TypeError: it did nothing yet: see `call`.
    """
    if not surroundings:
        call(handler.call, message)
        return
    with ExitStack() as stack:
        for factory in surroundings:
            manager = factory(message)
            if not isinstance(manager, AbstractContextManager):
                raise TypeError(f"{factory!r} made no context manager, but {manager!r}")
            stack.enter_context(manager)
        call(handler.call, message)


def call(handler: Handler, message: Any) -> None:
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
