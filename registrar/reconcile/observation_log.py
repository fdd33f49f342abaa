"""What the log says of a registration."""

import structlog

from listener.registration_state import Observation
from registrar.errors import LOCAL_CAUSES

log = structlog.get_logger("registrar")

EVENTS = {
    "as-desired": "registration is as desired",
    "registered": "registered",
    "yielded": "registration left to another owner",
    "failed": "registration not reconciled",
}


def log_observation(seen: Observation, before: Observation | None) -> None:
    """One line for a registration that was made, failed, or is no longer as it was."""
    if seen.result != "registered" and before and _news(seen) == _news(before):
        return
    # A replica that a newer deployment replaces leaves the registration to it as planned.
    # What belonged to somebody else is missed there: a takeover that succeeds is still a warning, with both URLs.
    expected = seen.reason == "superseded" or (seen.healthy and seen.reason != "takeover")
    say = log.info if expected else log.warning
    say(
        EVENTS[seen.result],
        account=seen.account,
        version=seen.version,
        url=seen.desired_url if seen.ours is None else seen.registered_url,
        reason=seen.reason,
        **_more(contender=seen.contender, detail=seen.detail),
    )


def log_deregistration(seen: Observation) -> None:
    """One line for a registration that was removed, given back, or left."""
    say = log.warning if seen.result == "failed" else log.info
    removed = seen.result == "deregistered"
    event = "deregistered" if removed else "not deregistered"
    say(
        "registration given back" if seen.reason == "given-back" else event,
        account=seen.account,
        version=seen.version,
        url=seen.contender if removed else seen.registered_url,
        reason=seen.reason,
        **_more(detail=seen.detail),
    )


def _news(seen: Observation) -> tuple[str | None, ...]:
    """What must change for another line; the provider's own words may differ every time."""
    detail = seen.detail if seen.reason in LOCAL_CAUSES else ""
    return seen.result, seen.reason, seen.registered_url, detail


def _more(**optional: str | None) -> dict[str, str]:
    return {name: text for name, text in optional.items() if text}
