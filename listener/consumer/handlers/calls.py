"""Calls a handler within the context managers that surround it."""

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    ExitStack,
)
from typing import Any, cast

from listener.consumer.handlers.outcomes import HandlerTimeoutError, Reject, Retry, decision
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
                raise _no_manager(factory, manager)
            stack.enter_context(manager)
        call(handler.call, message)


async def call_async(
    handler: RegisteredHandler, message: Any, surroundings: Sequence[Surrounding]
) -> None:
    """Calls an async handler; what it or a context manager raises is raised.

    Entering the context managers and the handler share its `timeout_s`. Leaving them has no limit, so
    that they end in order; they see the timeout.

    Raises:
        HandlerTimeoutError: it took longer than its `timeout_s` and was cancelled.
    """
    timeout_s = handler.options.timeout_s
    if not surroundings:
        await _limited(lambda: _coroutine(handler, message), timeout_s, timeout_s)
        return
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with AsyncExitStack() as stack:
        await _limited(lambda: _enter(stack, surroundings, message), timeout_s, timeout_s)
        left_s = None if timeout_s is None else timeout_s - (loop.time() - began)
        await _limited(lambda: _coroutine(handler, message), left_s, timeout_s)


def call(handler: Handler, message: Any) -> None:
    """Calls a plain handler; what it raises is raised.

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


def in_event_loop() -> bool:
    """Whether this is called within a running event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _coroutine(handler: RegisteredHandler, message: Any) -> Coroutine[Any, Any, object]:
    return cast(Coroutine[Any, Any, object], handler.call(message))


async def _limited(
    work: Callable[[], Coroutine[Any, Any, object]], limit_s: float | None, timeout_s: float | None
) -> None:
    """Awaits what `work` makes, for `limit_s` seconds at most.

    Raises:
        HandlerTimeoutError: it was cancelled after that, whatever it then raised but `Retry` and `Reject`.
    """
    if timeout_s is None:
        await work()
        return
    try:
        async with asyncio.timeout(limit_s) as limit:
            await work()
    except BaseException as error:
        if not limit.expired() or isinstance(decision(error), Retry | Reject):
            raise
        raise HandlerTimeoutError(timeout_s) from error


async def _enter(stack: AsyncExitStack, surroundings: Sequence[Surrounding], message: Any) -> None:
    for factory in surroundings:
        manager = factory(message)
        if isinstance(manager, AbstractAsyncContextManager):
            await stack.enter_async_context(manager)
        elif isinstance(manager, AbstractContextManager):
            stack.enter_context(manager)
        else:
            raise _no_manager(factory, manager)


def _no_manager(factory: Surrounding, made: object) -> TypeError:
    if isinstance(made, AbstractAsyncContextManager):
        return TypeError(
            f"{factory!r} made an async context manager, which can surround async handlers alone"
        )
    return TypeError(f"{factory!r} made no context manager, but {made!r}")
