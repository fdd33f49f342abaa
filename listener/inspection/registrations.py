"""Reads the registration state that the registrar stores in Redis as JSON: its last observation of each slot."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import redis

from listener.queue.keys import observations

# The registrar's reasons for: refused logins have stopped all further logins.
NO_MORE_LOGINS = frozenset(("breaker-open", "account-locked"))
# The registrar's results for: the service stopped, and deregistered its URL or left that to other replicas.
STOPPED = frozenset(("deregistered", "left"))
STALE_INTERVALS = 5
# The registrar repeats a failed observation within minutes.
MIN_STALE_S = 600
# The default of REGISTRAR_INTERVAL_S before observations stored their interval.
FORMER_INTERVAL_S = 300


@dataclass(frozen=True)
class RegistrationState:
    """The registration of one account and API version, as the registrar observed it last.

    Attributes:
        url: what is registered, without secrets; None: nothing. If ThingSpace could not be asked, the last known one.
        ours: whether that is our URL; None: ThingSpace could not be asked.
        observed_at: when; None: another version of the registrar stored it, and the rest is unknown.
        result: what the registrar did, and `reason` why, each in one word; `detail` for people.
        token_age_s: the age of its OAuth token.
        contender: the URL that ours replaced, or that replaced ours, while such takeovers are recent.
        interval_s: the time between two observations; None: an older version stored it.
    """

    account: str
    version: str
    url: str | None
    ours: bool | None
    observed_at: datetime | None
    result: str
    reason: str
    detail: str
    token_age_s: float | None
    contender: str | None = None
    interval_s: float | None = None

    def is_stale(self, now: datetime) -> bool:
        """Whether the registrar is several observations late, so that this one says little of now."""
        if self.observed_at is None:
            return False
        limit_s = max(STALE_INTERVALS * (self.interval_s or FORMER_INTERVAL_S), MIN_STALE_S)
        return (now - self.observed_at).total_seconds() > limit_s

    @property
    def deregistered_on_purpose(self) -> bool:
        """Whether the URL is not registered because the service was stopped."""
        return self.ours is not True and self.result in STOPPED


def read_registrations(client: "redis.Redis", namespace: str) -> list[RegistrationState]:
    """The state of every slot that was observed, by account and version. Raises redis.RedisError."""
    stored: Any = client.hgetall(observations(namespace))
    return [parse_registration(slot, text) for slot, text in sorted(stored.items())]


def parse_registration(slot: str, text: str) -> RegistrationState:
    """The state of a slot, `<account>/<version>`, from the registrar's JSON. Never raises."""
    account, _, version = slot.partition("/")
    try:
        stored = json.loads(text)
        observed_at = datetime.fromisoformat(stored["tick"]).astimezone(UTC)
        age, interval_s = stored.get("token_age_s"), stored.get("interval_s")
        return RegistrationState(
            account=account,
            version=version,
            url=_checked(stored["registered_url"], str | None),
            ours=_checked(stored["ours"], bool | None),
            observed_at=observed_at,
            result=_checked(stored["result"], str),
            reason=_checked(stored["reason"], str),
            detail=_checked(stored.get("detail", ""), str),
            token_age_s=age if isinstance(age, int | float) else None,
            contender=_checked(stored.get("contender"), str | None),
            interval_s=interval_s if isinstance(interval_s, int | float) else None,
        )
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError, RecursionError):
        # Another version of the registrar wrote it.
        return RegistrationState(account, version, None, None, None, "unreadable", "", "", None)


def _checked(value: Any, kind: Any) -> Any:
    """The value, if it is of a kind such as `str | None`. Raises TypeError."""
    if not isinstance(value, kind):
        raise TypeError(kind)
    return value
