"""A turn: the checks before each request to ThingSpace, the mutex's renewal too, and its sleep."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol


class Fence(Protocol):
    """A mutex that is held: see `registrar.coordination.mutex.HeldMutex`."""

    @property
    def fencing_token(self) -> int:
        """Greater than that of every holder before."""

    def renew(self) -> None:
        """Renews the mutex. Raises RegistrarError if it is lost."""


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return False


@dataclass(frozen=True)
class Turn:
    """What everything that sends to ThingSpace asks first. `Turn()` allows everything, and sleeps really.

    Attributes:
        sleep: sleeps that many seconds, and returns True, early, if there is no more time.
        checks: called in order before each request; each raises RegistrarError if nothing may be sent any more.
        fencing_token: of the mutex under which this turn is taken; 0: without it.
    """

    sleep: Callable[[float], bool] = _sleep
    checks: tuple[Callable[[], None], ...] = ()
    fencing_token: int = 0

    def check(self) -> None:
        """Called before every request, also before one that reads.

        Raises:
            RegistrarError: nothing may be sent any more.
        """
        for check in self.checks:
            check()

    def under(self, fence: Fence) -> "Turn":
        """The same turn, while the mutex is held.

        Each check renews the mutex, because many slow replies together may take longer than it lasts.
        """
        return replace(self, checks=(*self.checks, fence.renew), fencing_token=fence.fencing_token)

    @property
    def is_fenced(self) -> bool:
        """Whether the mutex is held."""
        return self.fencing_token > 0


UNRESTRICTED = Turn()
"""For the client alone: nobody else is at work, and there is all the time."""
