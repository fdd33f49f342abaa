"""Is the URL registered, as far as the registrar saw last?"""

from collections.abc import Iterator
from datetime import datetime

import redis

from listener.diagnostics.finding import Finding, error, ok, warning
from listener.inspection.registrations import Registration, registrations
from listener.times import format_duration

TOPIC = "registration"
# As far as clocks of several hosts may well differ.
AHEAD_S = 60
STATUS = "python -m registrar status asks ThingSpace itself"


def findings(client: "redis.Redis", namespace: str, now: datetime) -> Iterator[Finding]:
    """Raises redis.RedisError. `now` is by Redis's clock."""
    seen = registrations(client, namespace)
    if not seen:
        yield warning(
            TOPIC,
            "no registrar has written yet: whether ThingSpace knows the URL is not known here",
            "start the service with python -m registrar run, or register by other means",
        )
    for one in seen:
        yield finding(one, now)


def finding(seen: Registration, now: datetime) -> Finding:
    """What one of them says; `now` tells how old it is."""
    slot = f"{seen.account}/{seen.version}"
    if seen.looked is None:
        return warning(TOPIC, f"{slot}: another version of the registrar wrote it", STATUS)
    age_s = (now - seen.looked).total_seconds()
    told = f"{slot}: {_state(seen.ours, seen.url)}, seen {format_duration(max(age_s, 0))} ago"
    if seen.ours is False and not seen.parted:
        return error(TOPIC, f"{told}; ThingSpace's messages do not come here", STATUS)
    doubts = {
        "the service deregistered when it stopped": seen.parted,
        f"the last look failed: {seen.reason}": seen.ours is None,
        "does the registrar still run?": seen.is_stale(now),
        "it says a time that is yet to come: the registrar's clock or Redis's is wrong": age_s
        < -AHEAD_S,
        "another service registers its own URL in turn": seen.reason == "flapping",
        f"it was taken over from {seen.contender}, whose owner gets no messages now": bool(
            seen.contender
        ),
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
