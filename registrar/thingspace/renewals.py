"""Decides which tokens to renew after a refusal, and how often. Pure but for its clock."""

from collections.abc import Callable
from dataclasses import dataclass

from registrar.errors import AuthExpiredError, RegistrarError, TokenKind
from registrar.thingspace.requests import Call

# How a dead session is refused is [?]: after this many refusals in a row, of any kind, a new one is tried.
SUSPECT_AFTER = 2
# After a new session was refused as well, the next one waits for a pause, which doubles.
FIRST_PAUSE_S = 60.0
MAX_PAUSE_S = 3600.0
# The session as such, whatever was called with it.
SESSION = ""


@dataclass(frozen=True)
class _Pace:
    in_vain: int
    until_s: float


class Renewals:
    """Paces the renewals of one process.

    Every login still has to pass the breaker. This class prevents a login on every tick because one
    account is refused for good: such logins succeed, so the breaker does not count them.

    Args:
        clock: monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._refused_in_a_row = 0
        self._paces: dict[str, _Pace] = {}
        # The calls whose last answer was a refusal that names no token.
        self._suspects: set[str] = set()

    def worked(self, call: Call) -> None:
        """Records that a call was accepted. A new session helped only if the same call was refused before."""
        key = _key(call)
        self._refused_in_a_row = 0
        self._paces.pop(key, None)
        if key in self._suspects:
            self._suspects.discard(key)
            self._paces.pop(SESSION, None)

    def after(self, call: Call, refusal: RegistrarError) -> frozenset[TokenKind]:
        """What to renew before the refused call is tried once more; empty: give up."""
        key = _key(call)
        self._refused_in_a_row += 1
        if isinstance(refusal, AuthExpiredError):
            allowed = "session" not in refusal.stale or self._allow(key)
            return refusal.stale if allowed else frozenset()
        self._suspects.add(key)
        suspect = self._refused_in_a_row >= SUSPECT_AFTER and self._allow(SESSION)
        return frozenset({"session"}) if suspect else frozenset()

    def _allow(self, key: str) -> bool:
        now = self._clock()
        pace = self._paces.get(key, _Pace(0, now))
        if now < pace.until_s:
            return False
        pause = min(FIRST_PAUSE_S * 2.0**pace.in_vain, MAX_PAUSE_S)
        self._paces[key] = _Pace(pace.in_vain + 1, now + pause)
        return True


def _key(call: Call) -> str:
    """Method and path: an accepted GET says nothing about the POST of the same path."""
    return f"{call.method} {call.path}"
