"""When a login may be tried: the login breaker's state and rules. Pure.

ThingSpace locks the customer's account at the fifth consecutive failed login, until its support
unlocks it [doc]. So an attempt is counted before it is made, and:

- After two refusals nobody tries these credentials again.
- Attempts under way count as if they were refused already: not more than two doubtful ones at once.
- An attempt without an answer (a timeout after sending; a process that was killed meanwhile) may
  have been a refusal that nobody saw. Refusing to go on after two of them would turn an outage into a
  stand-still; going on without end could lock the account. So it goes on slowly: one every ten minutes,
  and not beyond four in all, one below the provider's five.
- Credentials that were accepted last time and have not been refused since are very likely still right:
  with them, unanswered attempts are spaced by a minute and are not limited in number.
- A success clears everything. It also raises the generation, and so do people by `unlock`: of two
  records of the same credentials the one of the later generation is right.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

from registrar.errors import StopError, UnavailableError

MAX_REFUSED = 2
MAX_DOUBTFUL = 4
PACE_S = 600.0
PROVEN_PACE_S = 60.0
# An attempt that has no outcome after so long has none any more; a call's own limits are 13 s.
PENDING_S = 60.0
BUSY_S = 1.0

Outcome = Literal["accepted", "refused", "locked", "not-evaluated", "unknown"]


@dataclass(frozen=True)
class Strikes:
    """What is known of some credentials; times are seconds since the epoch, of one store's clock."""

    generation: int = 0
    refused: int = 0
    unknown: int = 0
    proven: bool = False
    last_s: float = 0.0
    pending: Mapping[str, float] = field(default_factory=dict)

    @property
    def doubtful(self) -> int:
        """How many attempts since the last success may have been refused."""
        return self.refused + self.unknown + len(self.pending)

    @property
    def open(self) -> bool:
        """Whether only people can have logins tried again."""
        given_up = not self.proven and self.refused + self.unknown >= MAX_DOUBTFUL
        return self.refused >= MAX_REFUSED or given_up

    def to_json(self) -> str:
        """For a store."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes | None) -> "Strikes":
        """What a store held; nothing, or what cannot be read, is a clean record."""
        try:
            return cls(**json.loads(text)) if text else cls()
        except (TypeError, ValueError):
            return cls()


def reserved(strikes: Strikes, attempt: str, now_s: float) -> Strikes:
    """The record with one more attempt under way. Entering it twice is entering it once.

    Raises:
        StopError: the breaker is open.
        UnavailableError: not now; its `retry_after_s` says when to ask again.
    """
    strikes = _settled(strikes, now_s)
    if attempt in strikes.pending:
        return strikes
    if strikes.open:
        raise StopError("breaker-open", _explanation(strikes))
    if strikes.doubtful >= MAX_REFUSED:
        _check_pace(strikes, now_s)
    pending = {**strikes.pending, attempt: now_s + PENDING_S}
    return replace(strikes, pending=pending, last_s=now_s)


def resolved(strikes: Strikes, attempt: str, outcome: Outcome) -> Strikes:
    """The record once the outcome is known."""
    pending = {name: until for name, until in strikes.pending.items() if name != attempt}
    strikes = replace(strikes, pending=pending)
    if outcome == "accepted":
        return replace(cleared(strikes, strikes.generation + 1), proven=True, pending=pending)
    if outcome in {"refused", "locked"}:
        # A locked account gains nothing by a second try.
        step = MAX_REFUSED if outcome == "locked" else 1
        return replace(strikes, refused=strikes.refused + step, proven=False)
    return replace(strikes, unknown=strikes.unknown + (outcome == "unknown"))


def cleared(strikes: Strikes, generation: int) -> Strikes:
    """A clean record that prevails over those of earlier generations."""
    return Strikes(generation=generation, last_s=strikes.last_s)


def _settled(strikes: Strikes, now_s: float) -> Strikes:
    live = {name: until for name, until in strikes.pending.items() if until > now_s}
    lost = len(strikes.pending) - len(live)
    return replace(strikes, pending=live, unknown=strikes.unknown + lost)


def _check_pace(strikes: Strikes, now_s: float) -> None:
    if strikes.pending:
        raise UnavailableError(
            "login-busy", "other logins are under way", retry_after_s=BUSY_S, sent=False
        )
    pace = PROVEN_PACE_S if strikes.proven else PACE_S
    left = strikes.last_s + pace - now_s
    if left > 0:
        raise UnavailableError(
            "login-paced", _explanation(strikes), retry_after_s=min(left, pace), sent=False
        )


def _explanation(strikes: Strikes) -> str:
    return (
        f"{strikes.refused} logins refused and {strikes.unknown} unanswered with these credentials; "
        "five lock the account. Correct them, or run: python -m registrar unlock"
    )
