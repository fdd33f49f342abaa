"""The login breaker's record and rules: whether a login may be tried after failed ones. Pure.

ThingSpace locks the customer's account at the fifth consecutive failed login, until its support unlocks it [doc].
So every attempt is counted before it is made. The reasons for the numbers are in docs/adr/0019.

- After two refused logins nobody tries these credentials again.
- A pending attempt counts as refused until its outcome is known: at most two attempts can fail at once.
- An unanswered attempt (a timeout after sending; a process that was killed) may have been refused. The third
  attempt that may have failed waits ten minutes, the fourth an hour, and there is no fifth.
- An accepted login clears the record and raises its generation, and `unlock` raises it too: of two records of
  the same credentials the one with the later generation is right.
- `unlock` cannot lower what ThingSpace has counted: it keeps the counts, and allows one more attempt.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from registrar.errors import StopError, UnavailableError

MAX_REFUSED = 2
MAX_POSSIBLY_FAILED = 4
# ThingSpace locks the account at this many consecutive failed logins. [doc]
LOCKED_AT = 5
# How long the third and the fourth attempt that may have failed wait after the one before.
UNANSWERED_BACKOFF_S = (600.0, 3600.0)
# An attempt without an outcome after this time has no outcome any more; a call ends within 13 s.
PENDING_S = 60.0
BUSY_RETRY_S = 1.0
# The names in the stores, where they differ from the fields'.
STORED_NAMES = {
    "unanswered": "unknown",
    "unlocked_at_failures": "pardoned",
    "last_attempt_s": "last_s",
}

LoginOutcome = Literal["accepted", "refused", "locked", "not-evaluated", "unanswered"]


@dataclass(frozen=True)
class LoginRecord:
    """The logins with some credentials since the last accepted one.

    Attributes:
        generation: how often the credentials were accepted or unlocked.
        refused: how many attempts were refused.
        unanswered: how many more may have been refused.
        unlocked_at_failures: `failed` when an operator unlocked; 0: nobody has.
        last_attempt_s: when the last attempt began, in seconds since the epoch, by one store's clock.
        pending: the attempts under way, and when each counts as unanswered, by the same clock.
    """

    generation: int = 0
    refused: int = 0
    unanswered: int = 0
    unlocked_at_failures: int = 0
    last_attempt_s: float = 0.0
    pending: Mapping[str, float] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """How many failed logins ThingSpace has probably counted."""
        return self.refused + self.unanswered

    @property
    def possibly_failed(self) -> int:
        """How many attempts were or may yet be refused."""
        return self.failed + len(self.pending)

    @property
    def open(self) -> bool:
        """Whether no login is tried until an operator unlocks."""
        if self.unlocked_at_failures:
            return self.failed > self.unlocked_at_failures
        return self.refused >= MAX_REFUSED or self.failed >= MAX_POSSIBLY_FAILED

    @property
    def advice(self) -> str:
        """What an operator can do about an open breaker."""
        return (
            f"logins refused: {self.refused}, unanswered: {self.unanswered}; {LOCKED_AT} lock the account: "
            "correct THINGSPACE_PASSWORD (a corrected one needs no unlock); only if it is right: "
            "python -m registrar unlock"
        )

    def reserve(self, attempt: str, now_s: float) -> "LoginRecord":
        """The record with one more pending attempt. Idempotent by the attempt's name.

        Raises:
            StopError: the breaker is open.
            UnavailableError: not now; `retry_after_s` says when to ask again.
        """
        record = self._expired(now_s)
        if attempt in record.pending:
            return record
        if record.open:
            raise StopError("breaker-open", record.advice)
        if record.possibly_failed >= MAX_REFUSED:
            _check_backoff(record, now_s)
        pending = {**record.pending, attempt: now_s + PENDING_S}
        return replace(record, pending=pending, last_attempt_s=now_s)

    def resolve(self, attempt: str, outcome: LoginOutcome) -> "LoginRecord":
        """The record once an attempt's outcome is known."""
        pending = {name: until for name, until in self.pending.items() if name != attempt}
        record = replace(self, pending=pending)
        if outcome == "accepted":
            last_s = self.last_attempt_s
            return LoginRecord(self.generation + 1, last_attempt_s=last_s, pending=pending)
        if outcome in {"refused", "locked"}:
            # A second try would gain nothing with a locked account.
            refusals = MAX_REFUSED if outcome == "locked" else 1
            return replace(record, refused=record.refused + refusals)
        return replace(record, unanswered=record.unanswered + (outcome == "unanswered"))

    def unlock(self, generation: int) -> "LoginRecord":
        """The record after an operator said to go on: it allows one more attempt, at once.

        Pending attempts count as failed: nobody waits for their outcome. A clean record stays clean.
        """
        failed = self.possibly_failed
        return replace(
            self,
            generation=generation,
            unanswered=failed - self.refused,
            unlocked_at_failures=failed,
            pending={},
        )

    def to_json(self) -> str:
        """The record as a store keeps it."""
        fields = {STORED_NAMES.get(name, name): value for name, value in asdict(self).items()}
        return json.dumps(fields, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes | None) -> "LoginRecord":
        """The record that a store kept; None is a clean one.

        A text that cannot be read leaves one attempt, because it may have been a record of refusals.
        Fields of other versions of this program are ignored.
        """
        if text is None:
            return cls()
        try:
            record = cls(**_fields(json.loads(text)))
        except (TypeError, ValueError, OverflowError, RecursionError):
            return UNREADABLE
        # `unlock` allows one attempt after the failures of then, which nothing but an accepted login lowers. A record
        # with fewer failures would allow as many attempts as the difference.
        return record if record.unlocked_at_failures <= record.failed else UNREADABLE

    def _expired(self, now_s: float) -> "LoginRecord":
        """The record with each overdue attempt counted as unanswered."""
        # An attempt that would last longer than any was reserved before a clock was set back.
        live = {
            name: until
            for name, until in self.pending.items()
            if now_s < until <= now_s + PENDING_S
        }
        overdue = len(self.pending) - len(live)
        last_s = min(self.last_attempt_s, now_s)
        return replace(
            self, pending=live, unanswered=self.unanswered + overdue, last_attempt_s=last_s
        )


UNREADABLE = LoginRecord(refused=MAX_REFUSED - 1)


def _check_backoff(record: LoginRecord, now_s: float) -> None:
    if record.pending:
        raise UnavailableError(
            "login-busy", "other logins are under way", retry_after_s=BUSY_RETRY_S, sent=False
        )
    if record.unlocked_at_failures:
        return
    backoff_s = UNANSWERED_BACKOFF_S[record.failed - MAX_REFUSED]
    left_s = record.last_attempt_s + backoff_s - now_s
    if left_s > 0:
        raise UnavailableError("login-paced", record.advice, retry_after_s=left_s, sent=False)


def _fields(content: Any) -> dict[str, Any]:
    """The fields of a stored record, each of its type; raises TypeError, ValueError or OverflowError."""
    if not isinstance(content, dict):
        raise TypeError
    stored = {name: STORED_NAMES.get(name, name) for name in asdict(LoginRecord())}
    fields = {name: content[key] for name, key in stored.items() if key in content}
    pending = dict(fields.pop("pending", {}))
    for number in (*fields.values(), *pending.values()):
        # `isfinite` raises for what is no number, and for one that no float can hold.
        if isinstance(number, bool) or not math.isfinite(number) or number < 0:
            raise ValueError
    if any(isinstance(fields[name], float) for name in fields.keys() - {"last_attempt_s"}):
        raise TypeError
    return {**fields, "pending": pending}
