"""Waiting for a condition, with a deadline."""

import time
from collections.abc import Callable

DEADLINE_S = 30.0
POLL_S = 0.05


class DeadlineError(Exception):
    """The condition did not hold in time."""


def wait_until(
    condition: Callable[[], object],
    explain: Callable[[], str] | str = "",
    timeout_s: float = DEADLINE_S,
    *,
    ignoring: type[Exception] | tuple[type[Exception], ...] = (),
) -> None:
    """Polls until the condition holds.

    Args:
        condition: what to wait for; its result counts as true or false.
        explain: what the error says: a text, or a function that returns one, such as a log's reader.
        timeout_s: how long to wait.
        ignoring: exceptions of `condition` that count as false.

    Raises:
        DeadlineError: it did not hold within `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    while not _holds(condition, ignoring):
        if time.monotonic() > deadline:
            reason = explain if isinstance(explain, str) else explain()
            raise DeadlineError(f"not in {timeout_s:g} s: {reason}")
        time.sleep(POLL_S)


def _holds(
    condition: Callable[[], object], ignoring: type[Exception] | tuple[type[Exception], ...]
) -> bool:
    try:
        return bool(condition())
    except ignoring:
        return False
