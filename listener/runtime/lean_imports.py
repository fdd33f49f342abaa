"""Imports libraries without what they load for developers, which takes a quarter of the service's start."""

import sys
from importlib import import_module

# A library, and another one that it imports wherever that is installed, for uses that nothing here has: tracebacks in
# colour, and metrics of the client.
UNUSED = {"structlog": "rich", "redis": "opentelemetry"}


def load() -> None:
    """Imports the libraries as if the unused ones were not installed; these can be imported afterwards.

    It has no effect on a library that is imported already, or whose unused one is, as under `opentelemetry-instrument`.
    """
    for library, unused in UNUSED.items():
        if library in sys.modules or unused in sys.modules:
            continue
        # Python's own sign for a module that is not there.
        sys.modules[unused] = None  # type: ignore[assignment]
        try:
            import_module(library)
        finally:
            del sys.modules[unused]
