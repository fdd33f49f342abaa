"""Registrations that were confirmed and do not show: written again, but less and less often."""

from collections.abc import Callable
from dataclasses import dataclass

from registrar.errors import NotVerifiedError
from registrar.model import Registration, Slot
from registrar.plan import difference

# The first pause; each further one is twice as long, up to the longest.
FIRST_PAUSE_S = 60.0
LONGEST_PAUSE_S = 3600.0


@dataclass(frozen=True)
class UnverifiedWrite:
    """What showed after the last write, how many writes that was, and until when there is no other."""

    shown: Registration | None
    differs: str
    writes: int
    until_s: float


class WriteBackoff:
    """What this process knows of writes in vain.

    A provider may show a password masked or a URL with a slash more, and go on doing so: then writing
    on every tick helps nobody. Where something else shows than after the last write, somebody has
    acted, and nothing stands in the way of writing at once.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """Takes a clock of monotonic seconds."""
        self._clock = clock
        self._known: dict[Slot, UnverifiedWrite] = {}

    def check(self, slot: Slot, found: Registration | None) -> None:
        """Called before a write.

        Raises:
            NotVerifiedError: one like it was in vain a short while ago.
        """
        doubt = self._known.get(slot)
        if doubt is None or found is None:
            # With nothing registered every message is lost: that is always worth a write.
            return
        if doubt.shown == found and self._clock() < doubt.until_s:
            raise NotVerifiedError(f"{doubt.differs}; not written again yet")

    def verify(self, slot: Slot, wanted: Registration, left: Registration | None) -> None:
        """Called after a write, with what shows then.

        Raises:
            NotVerifiedError: it is not what was wanted.
        """
        differs = difference(wanted, left)
        if not differs:
            self._known.pop(slot, None)
            return
        before = self._known.get(slot)
        writes = before.writes + 1 if before else 1
        pause = min(FIRST_PAUSE_S * 2.0 ** (writes - 1), LONGEST_PAUSE_S)
        said = f"registered, but {differs} in what ThingSpace shows"
        self._known[slot] = UnverifiedWrite(left, said, writes, self._clock() + pause)
        raise NotVerifiedError(said)
