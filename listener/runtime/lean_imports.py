"""Imports libraries without what they load for developers, which takes a quarter of a start."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

# A library, and another one that it imports wherever that is installed, for uses that nothing here has: tracebacks in
# colour, and metrics of the client.
UNUSED = {"structlog": "rich", "redis": "opentelemetry"}


def load() -> None:
    """Imports the libraries as if the unused ones were not installed."""
    with without_unused():
        for library in UNUSED:
            import_module(library)


@contextmanager
def without_unused() -> Iterator[None]:
    """Lets the block import as if the unused libraries were not installed; these can be imported afterwards.

    It has no effect on a library that is imported already, or whose unused one is, as under `opentelemetry-instrument`.
    """
    hidden = [unused for unused in UNUSED.values() if unused not in sys.modules]
    for name in hidden:
        # Python's own sign for a module that is not there.
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
