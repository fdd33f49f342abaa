"""A time limit for calls that have none of their own, such as resolving a host's name."""

from collections.abc import Iterator
from contextlib import contextmanager

from listener.runtime.native_thread import is_patched


@contextmanager
def time_limit(seconds: float, what: str) -> Iterator[None]:
    """Limits how long the block may wait, in a process that gevent has patched; in any other it does nothing.

    Python's `getaddrinfo` has no time limit: if the name servers do not answer, it takes as long as
    the system's resolver tries, often 10 to 40 s. gevent resolves names in native threads, which
    may be left waiting.

    Raises:
        TimeoutError: the block waited for longer.
    """
    if not is_patched():
        yield
        return
    import gevent  # noqa: PLC0415 (the consumer library is installed without it)

    with gevent.Timeout(seconds, TimeoutError(what)):
        yield
