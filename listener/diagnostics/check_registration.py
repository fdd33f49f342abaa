"""Checks what the registrar stored last: whether ThingSpace has our URL registered."""

from collections.abc import Iterator
from datetime import datetime

from listener.diagnostics.finding import Finding, error, ok, warning
from listener.inspection.queue_view import QueueView
from listener.inspection.registrations import read_registrations
from listener.registration_state import Observation
from listener.times import format_duration

TOPIC = "registration"
# The clocks of several hosts may well differ by this much.
MAX_AHEAD_S = 60
STATUS = "python -m registrar status asks ThingSpace itself"


def findings(view: QueueView, now: datetime) -> Iterator[Finding]:
    """Raises redis.RedisError. `now` is by Redis's clock."""
    stored = read_registrations(view.client, view.settings.namespace)
    if not stored:
        yield warning(
            TOPIC,
            "no registrar has written yet: whether ThingSpace knows the URL is not known here",
            "start the service with python -m registrar run, or register by other means",
        )
    for registration in stored:
        yield finding(registration, now)


def finding(registration: Observation, now: datetime) -> Finding:
    """What one slot's last observation says; `now` decides how old it is."""
    slot = registration.key
    if registration.observed_at is None:
        return warning(TOPIC, f"{slot}: another version of the registrar wrote it", STATUS)
    age_s = (now - registration.observed_at).total_seconds()
    state = _state(registration.ours, registration.registered_url)
    text = f"{slot}: {state}, seen {format_duration(max(age_s, 0))} ago"
    if registration.ours is False and not registration.deregistered_on_purpose:
        return error(TOPIC, f"{text}; ThingSpace's messages do not come here", STATUS)
    if doubt := _doubt(registration, now, age_s):
        return warning(TOPIC, f"{text}; {doubt}", STATUS)
    return ok(TOPIC, text)


def _doubt(registration: Observation, now: datetime, age_s: float) -> str:
    """The first reason not to trust the observation; empty if there is none."""
    reasons = {
        "the service deregistered when it stopped": registration.deregistered_on_purpose,
        f"the last look failed: {registration.reason}": registration.ours is None,
        "does the registrar still run?": registration.is_stale(now),
        "it says a time that is yet to come: the registrar's clock or Redis's is wrong": age_s
        < -MAX_AHEAD_S,
        "another service registers its own URL in turn": registration.reason == "flapping",
        f"it was taken over from {registration.contender}, whose owner gets no messages now": bool(
            registration.contender
        ),
    }
    return next((text for text, applies in reasons.items() if applies), "")


def _state(ours: bool | None, url: str | None) -> str:
    if ours is None:
        return f"unknown (before: {url or 'nothing'})"
    if ours:
        return f"ours, {url}"
    return f"FOREIGN, {url}" if url else "absent, nothing is registered"
