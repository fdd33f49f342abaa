"""What the registrar saw last, as it left it in Redis as JSON. Pure but for the one read."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import redis

from listener.queue.keys import observations

Value = TypeVar("Value")

# The registrar's words for: refused logins have stopped all further ones.
NO_MORE_LOGINS = frozenset(("breaker-open", "account-locked"))
# And for: the service was stopped, and took its URL away or left that to others.
PARTED = frozenset(("deregistered", "left"))
STALE_INTERVALS = 5
# A look that fails is repeated within minutes.
LEAST_STALE_S = 600
# What REGISTRAR_INTERVAL_S was by default before looks named theirs.
OLD_INTERVAL_S = 300


@dataclass(frozen=True)
class Registration:
    """One account and API version, as of the registrar's last look.

    Attributes:
        url: what is registered, without secrets; None: nothing. If nobody could look, what was seen before.
        ours: whether that is our URL; None: ThingSpace could not be asked.
        looked: when that was; None: another version of the registrar wrote it, and the rest is unknown.
        result: what the registrar did, and `reason` why, each one word; `detail` for people.
        token_age_s: how old its OAuth token was.
        contender: the URL that was replaced, or that made way for ours, while such replacings are counted.
        interval_s: how long the registrar waits between two looks; None: an older version wrote it.
    """

    account: str
    version: str
    url: str | None
    ours: bool | None
    looked: datetime | None
    result: str
    reason: str
    detail: str
    token_age_s: float | None
    contender: str | None = None
    interval_s: float | None = None

    def is_stale(self, now: datetime) -> bool:
        """Whether the last look is so old that it says little of now: the registrar is behind by several looks."""
        if self.looked is None:
            return False
        limit_s = max(STALE_INTERVALS * (self.interval_s or OLD_INTERVAL_S), LEAST_STALE_S)
        return (now - self.looked).total_seconds() > limit_s

    @property
    def parted(self) -> bool:
        """Whether the URL is away on purpose: the service was stopped."""
        return self.ours is not True and self.result in PARTED


def registrations(client: "redis.Redis", namespace: str) -> list[Registration]:
    """All that were looked at, by account and version. Raises redis.RedisError."""
    seen: Any = client.hgetall(observations(namespace))
    return [registration(slot, text) for slot, text in sorted(seen.items())]


def registration(slot: str, text: str) -> Registration:
    """One of them: `<account>/<version>`, and what the registrar wrote. Never raises."""
    account, _, version = slot.partition("/")
    try:
        told = json.loads(text)
        looked = datetime.fromisoformat(told["tick"]).astimezone(UTC)
        age, interval_s = told.get("token_age_s"), told.get("interval_s")
        return Registration(
            account=account,
            version=version,
            url=_checked(told["registered_url"], str),
            ours=_checked(told["ours"], bool),
            looked=looked,
            result=_text(told["result"]),
            reason=_text(told["reason"]),
            detail=_text(told.get("detail", "")),
            token_age_s=age if isinstance(age, int | float) else None,
            contender=_checked(told.get("contender"), str),
            interval_s=interval_s if isinstance(interval_s, int | float) else None,
        )
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError, RecursionError):
        # Another version of the registrar wrote it.
        return Registration(account, version, None, None, None, "unreadable", "", "", None)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(str)
    return value


def _checked(value: Any, kind: type[Value]) -> Value | None:
    """The value, if it is of its kind or None. Raises TypeError."""
    if not isinstance(value, kind | None):
        raise TypeError(kind)
    return value
