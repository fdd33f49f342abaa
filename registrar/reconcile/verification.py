"""Backs off when ThingSpace accepts a registration and does not show it as written."""

from collections.abc import Callable
from dataclasses import dataclass

from registrar.errors import NotVerifiedError
from registrar.model import Registration, Slot
from registrar.plan import difference

# The first pause; each further one is twice as long, up to the maximum.
FIRST_PAUSE_S = 60.0
MAX_PAUSE_S = 3600.0


@dataclass(frozen=True)
class UnverifiedWrite:
    """What ThingSpace showed after the last write, how many writes there were, and until when there is no other."""

    shown: Registration | None
    problem: str
    writes: int
    until_s: float


class WriteBackoff:
    """The unverified writes of this process, by slot.

    ThingSpace may show a password masked or a URL with a slash more, and go on doing so: then a write
    on every tick helps nobody. If it shows something else than after the last write, somebody has
    acted, and the next write is due at once.

    Args:
        clock: returns monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._unverified: dict[Slot, UnverifiedWrite] = {}

    def check(self, slot: Slot, actual: Registration | None) -> None:
        """Called before a write.

        Raises:
            NotVerifiedError: the last write, a short while ago, was not verified.
        """
        last = self._unverified.get(slot)
        if last is None or actual is None:
            # With nothing registered every message is lost: that is always worth a write.
            return
        if last.shown == actual and self._clock() < last.until_s:
            raise NotVerifiedError(f"{last.problem}; not written again yet")

    def verify(self, slot: Slot, wanted: Registration, actual: Registration | None) -> None:
        """Called after a write, with what ThingSpace shows then.

        Raises:
            NotVerifiedError: it is not what was wanted.
        """
        differs = difference(wanted, actual)
        if not differs:
            self._unverified.pop(slot, None)
            return
        last = self._unverified.get(slot)
        writes = last.writes + 1 if last else 1
        pause_s = min(FIRST_PAUSE_S * 2.0 ** (writes - 1), MAX_PAUSE_S)
        problem = f"registered, but {differs} in what ThingSpace shows"
        self._unverified[slot] = UnverifiedWrite(actual, problem, writes, self._clock() + pause_s)
        raise NotVerifiedError(problem)
