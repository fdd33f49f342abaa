"""When a login may be tried: the login breaker's state and rules. Pure.

ThingSpace locks the customer's account at the fifth consecutive failed login, until its support
unlocks it [doc]. So an attempt is counted before it is made, and:

- After two refusals nobody tries these credentials again.
- Attempts under way count as if they were refused already: not more than two doubtful ones at once.
- An attempt without an answer (a timeout after sending; a process that was killed meanwhile) may
  have been a refusal that nobody saw. Refusing to go on after two of them would turn an outage into a
  stand-still; going on without end could lock the account, also of credentials that were right the
  last time. So the third waits ten minutes, the fourth an hour, and there is no fifth.
- A success clears everything. It also raises the generation, and so do people by `unlock`: of two
  records of the same credentials the one of the later generation is right.
- `unlock` cannot lower what the provider has counted: it forgets nothing, and grants one attempt.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from registrar.errors import StopError, UnavailableError

MAX_REFUSED = 2
MAX_DOUBTFUL = 4
# At the so-manieth failed login in a row the provider locks the account. [doc]
LOCKED_AT = 5
# How long the third and the fourth doubtful attempt wait after the one before.
PACES_S = (600.0, 3600.0)
# An attempt that has no outcome after so long has none any more; a call's own limits are 13 s.
PENDING_S = 60.0
BUSY_S = 1.0

Outcome = Literal["accepted", "refused", "locked", "not-evaluated", "unknown"]


@dataclass(frozen=True)
class Strikes:
    """What is known of some credentials since their last success.

    Attributes:
        generation: how often they were accepted or unlocked.
        refused: how many attempts were refused.
        unknown: how many more may have been refused.
        pardoned: how many failed ones people knew of when they unlocked; 0: they have not.
        last_s: when the last attempt began, in seconds since the epoch, of one store's clock.
        pending: the attempts under way, and when each is given up; likewise.
    """

    generation: int = 0
    refused: int = 0
    unknown: int = 0
    pardoned: int = 0
    last_s: float = 0.0
    pending: Mapping[str, float] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """How many failed logins the provider has probably counted."""
        return self.refused + self.unknown

    @property
    def doubtful(self) -> int:
        """How many attempts may have been refused, or may yet be."""
        return self.failed + len(self.pending)

    @property
    def open(self) -> bool:
        """Whether only people can have logins tried again."""
        if self.pardoned:
            return self.failed > self.pardoned
        return self.refused >= MAX_REFUSED or self.failed >= MAX_DOUBTFUL

    def to_json(self) -> str:
        """For a store."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes | None) -> "Strikes":
        """What a store held; nothing is a clean record.

        What is there and cannot be read leaves one attempt: it may have been a record of refusals.
        Fields of other versions of this program are ignored.
        """
        if text is None:
            return cls()
        try:
            return cls(**_checked(json.loads(text)))
        except (TypeError, ValueError, RecursionError):
            return UNREADABLE


UNREADABLE = Strikes(refused=MAX_REFUSED - 1)


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
        raise StopError("breaker-open", advice(strikes))
    if strikes.doubtful >= MAX_REFUSED or strikes.pardoned:
        _check_pace(strikes, now_s)
    pending = {**strikes.pending, attempt: now_s + PENDING_S}
    return replace(strikes, pending=pending, last_s=now_s)


def resolved(strikes: Strikes, attempt: str, outcome: Outcome) -> Strikes:
    """The record once the outcome is known."""
    pending = {name: until for name, until in strikes.pending.items() if name != attempt}
    strikes = replace(strikes, pending=pending)
    if outcome == "accepted":
        return Strikes(strikes.generation + 1, last_s=strikes.last_s, pending=pending)
    if outcome in {"refused", "locked"}:
        # A locked account gains nothing by a second try.
        step = MAX_REFUSED if outcome == "locked" else 1
        return replace(strikes, refused=strikes.refused + step)
    return replace(strikes, unknown=strikes.unknown + (outcome == "unknown"))


def unlocked(strikes: Strikes, generation: int) -> Strikes:
    """The record after people said to go on: one more attempt, at once. A clean one stays clean.

    Attempts under way are taken for failed ones: what becomes of them is not waited for.
    """
    failed = strikes.doubtful
    unknown = failed - strikes.refused
    return replace(strikes, generation=generation, unknown=unknown, pardoned=failed, pending={})


def advice(strikes: Strikes) -> str:
    """What people can do about a breaker that is open."""
    return (
        f"{strikes.refused} logins refused, {strikes.unknown} unanswered, and {LOCKED_AT} lock the "
        "account: correct THINGSPACE_PASSWORD (a corrected one needs no unlock); only if it is right: "
        "python -m registrar unlock"
    )


def _settled(strikes: Strikes, now_s: float) -> Strikes:
    # What would last longer than any attempt was entered before a clock was set back.
    times = strikes.pending.items()
    live = {name: until for name, until in times if now_s < until <= now_s + PENDING_S}
    lost = len(strikes.pending) - len(live)
    last_s = min(strikes.last_s, now_s)
    return replace(strikes, pending=live, unknown=strikes.unknown + lost, last_s=last_s)


def _check_pace(strikes: Strikes, now_s: float) -> None:
    if strikes.pending:
        raise UnavailableError(
            "login-busy", "other logins are under way", retry_after_s=BUSY_S, sent=False
        )
    if strikes.pardoned:
        return
    pace = PACES_S[min(strikes.failed, MAX_DOUBTFUL - 1) - MAX_REFUSED]
    left = strikes.last_s + pace - now_s
    if left > 0:
        raise UnavailableError("login-paced", advice(strikes), retry_after_s=left, sent=False)


def _checked(content: Any) -> dict[str, Any]:
    """The fields of a record, each of its type; raises TypeError or ValueError."""
    if not isinstance(content, dict):
        raise TypeError("not an object")
    fields = {name: content[name] for name in asdict(Strikes()) if name in content}
    pending = dict(fields.get("pending", {}))
    for number in (*(v for k, v in fields.items() if k != "pending"), *pending.values()):
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise TypeError("not a number")
        if not (math.isfinite(number) and number >= 0):
            raise ValueError("no count and no time")
    return {**fields, "pending": pending}
