"""How long to wait before something is tried again. Pure."""

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Backoff:
    """Doubles from `base_s` up to `cap_s`; the last part, `jitter` of it, is left to chance.

    Args:
        base_s: seconds after the first failure.
        cap_s: seconds at most.
        jitter: between 0 (always the full time) and 1 (anything between nothing and the full time),
            so that what failed together does not come back together.
        chance: numbers from 0 to 1.
    """

    base_s: float = 1.0
    cap_s: float = 60.0
    jitter: float = 0.5
    chance: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        """Raises ValueError."""
        if self.base_s < 0 or self.cap_s < self.base_s:
            raise ValueError("a backoff needs 0 <= base_s <= cap_s")
        if not 0 <= self.jitter <= 1:
            raise ValueError("a backoff's jitter is a share between 0 and 1")

    def after(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row, one or more."""
        # Beyond 2**60 nothing grows any more, and a float would overflow.
        full = min(self.cap_s, self.base_s * 2.0 ** min(failures - 1, 60))
        return full * (1 - self.jitter * self.chance())
