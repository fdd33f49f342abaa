"""What the registrar saw last, as it left it in Redis as JSON. Pure but for the one read."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import redis

from listener.queue.keys import observations

# The registrar's words for: refused logins have stopped all further ones.
NO_MORE_LOGINS = frozenset(("breaker-open", "account-locked"))


@dataclass(frozen=True)
class Registration:
    """One account and API version, as of the registrar's last look.

    Attributes:
        url: what is registered, without secrets; None: nothing, or unknown (see `ours`).
        ours: whether that is our URL; None: ThingSpace could not be asked.
        looked: when that was; None if it cannot be read.
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


def registrations(client: "redis.Redis", namespace: str) -> list[Registration]:
    """All that were looked at, by account and version. Raises redis.RedisError."""
    seen: Any = client.hgetall(observations(namespace))
    return [_registration(slot, text) for slot, text in sorted(seen.items())]


def _registration(slot: str, text: str) -> Registration:
    account, _, version = slot.partition("/")
    try:
        told = json.loads(text)
        looked = datetime.fromisoformat(told["tick"]).astimezone(UTC)
        age = told.get("token_age_s")
        return Registration(
            account=account,
            version=version,
            url=told["registered_url"],
            ours=told["ours"],
            looked=looked,
            result=str(told["result"]),
            reason=str(told["reason"]),
            detail=str(told.get("detail", "")),
            token_age_s=age if isinstance(age, int | float) else None,
        )
    except (TypeError, ValueError, KeyError):
        # Another version of the registrar wrote it.
        return Registration(account, version, None, None, None, "unreadable", "", "", None)
