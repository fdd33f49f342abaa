"""What a handler raises to decide what happens to its message (`Retry`, `Reject`), and what its timeout raises."""

import math


class Retry(Exception):  # noqa: N818 - it is a request, no error
    """The message is to be handled again, after `after_s` seconds or else the handler's backoff.

    The delivery counts as failed: after `max_deliveries` of them the message is dead-lettered.
    """

    __module__ = "listener.consumer"

    def __init__(self, why: str = "", *, after_s: float | None = None) -> None:
        """`why` stands in the log, and in the dead letter if this was the last delivery.

        Raises:
            ValueError: `after_s` is negative or no finite number.
        """
        if after_s is not None and not 0 <= after_s < math.inf:
            raise ValueError(f"after_s must be a number of seconds from 0, not {after_s!r}")
        super().__init__(*filter(None, [why]))
        self.after_s = after_s


class Reject(Exception):  # noqa: N818 - it is a decision, no error
    """The message is dead-lettered at once, with the reason `rejected`: another delivery would not help."""

    __module__ = "listener.consumer"

    def __init__(self, why: str = "") -> None:
        """`why` is the `error` of the dead letter."""
        super().__init__(*filter(None, [why]))


class HandlerTimeoutError(TimeoutError):
    """A handler exceeded its `timeout_s`: an async one was cancelled, the process of a plain one replaced."""

    __module__ = "listener.consumer"

    def __init__(self, timeout_s: float) -> None:
        """Takes the handler's `timeout_s`."""
        super().__init__(f"the handler did not return within its timeout_s of {timeout_s:g} s")
        self.timeout_s = timeout_s


def decision(error: BaseException) -> BaseException:
    """The exception that decides: a group of one, as asyncio's task groups raise it, counts as that one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
