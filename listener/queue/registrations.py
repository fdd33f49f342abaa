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


@dataclass(frozen=True)
class Registration:
    """One account and API version, as of the registrar's last look.

    Attributes:
        url: what is registered, without secrets; None: nothing. If nobody could look, what was seen before.
        ours: whether that is our URL; None: ThingSpace could not be asked.
        looked: when that was; None: another version of the registrar wrote it, and the rest is unknown.
        result: what the registrar did, and `reason` why, each one word; `detail` for people.
        token_age_s: how old its OAuth token was.
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
        age = told.get("token_age_s")
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
