"""What the registrar saw last, as it left it in Redis. This package knows only that JSON's form."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import redis

from listener.doctor.findings import Finding, error, ok, warning
from listener.moments import duration
from listener.queue.keys import observations

TOPIC = "registration"
# The registrar looks every 300 s unless REGISTRAR_INTERVAL_S says otherwise.
STALE_S = 3600
STATUS = "python -m registrar status asks ThingSpace itself"
# A service that was stopped has taken its URL away on purpose.
PARTED = ("deregistered", "left")


def findings(client: "redis.Redis", namespace: str, now: datetime) -> Iterator[Finding]:
    """Raises redis.RedisError. `now` is by Redis's clock."""
    seen: Any = client.hgetall(observations(namespace))
    if not seen:
        yield warning(
            TOPIC,
            "no registrar has written yet: whether ThingSpace knows the URL is not known here",
            "start the service with python -m registrar run, or register by other means",
        )
    for slot, text in sorted(seen.items()):
        yield finding(slot, text, now)


def finding(slot: str, text: str, now: datetime) -> Finding:
    """What one observation says.

    Args:
        slot: `<account>/<version>`.
        text: the observation, JSON.
        now: to tell how old it is.
    """
    try:
        seen = json.loads(text)
        age_s = (now - datetime.fromisoformat(seen["tick"]).astimezone(UTC)).total_seconds()
        ours, url, result = seen["ours"], seen["registered_url"], seen["result"]
        reason = seen["reason"]
    except (TypeError, ValueError, KeyError):
        return warning(TOPIC, f"{slot}: another version of the registrar wrote it", STATUS)
    told = f"{slot}: {_state(ours, url)}, seen {duration(max(age_s, 0))} ago"
    if ours is False and result not in PARTED:
        return error(TOPIC, f"{told}; ThingSpace's messages do not come here", STATUS)
    doubts = {
        "the service deregistered when it stopped": ours is not True and result in PARTED,
        f"the last look failed: {reason}": ours is None,
        "does the registrar still run?": age_s > STALE_S,
        "another service registers its own URL in turn": reason == "flapping",
    }
    if doubt := next((text for text, holds in doubts.items() if holds), None):
        return warning(TOPIC, f"{told}; {doubt}", STATUS)
    return ok(TOPIC, told)


def _state(ours: bool | None, url: str | None) -> str:
    if ours is None:
        return f"unknown (before: {url or 'nothing'})"
    if ours:
        return f"ours, {url}"
    return f"FOREIGN, {url}" if url else "absent, nothing is registered"
