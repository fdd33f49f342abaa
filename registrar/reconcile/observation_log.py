"""Logs observations: one line when a registration was made, failed or changed."""

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


def log_observation(observation: Observation, before: Observation | None) -> None:
    """Logs a registration that was made, failed, or differs from the observation before."""
    if (
        observation.result != "registered"
        and before
        and _identity(observation) == _identity(before)
    ):
        return
    # A superseded replica leaves the registration to the newer deployment, as planned. A takeover that succeeds is
    # a warning with both URLs all the same, because the other owner gets no messages any more.
    expected = observation.reason == "superseded" or (
        observation.healthy and observation.reason != "takeover"
    )
    write = log.info if expected else log.warning
    write(
        EVENTS[observation.result],
        account=observation.account,
        version=observation.version,
        url=observation.desired_url if observation.ours is None else observation.registered_url,
        reason=observation.reason,
        **_if_known(contender=observation.contender, detail=observation.detail),
    )


def log_deregistration(observation: Observation) -> None:
    """Logs a registration that was deregistered, given back, or left."""
    write = log.warning if observation.result == "failed" else log.info
    removed = observation.result == "deregistered"
    event = "deregistered" if removed else "not deregistered"
    write(
        "registration given back" if observation.reason == "given-back" else event,
        account=observation.account,
        version=observation.version,
        url=observation.contender if removed else observation.registered_url,
        reason=observation.reason,
        **_if_known(detail=observation.detail),
    )


def _identity(observation: Observation) -> tuple[str | None, ...]:
    """What must change for another line; the provider's own words may differ every time."""
    detail = observation.detail if observation.reason in LOCAL_CAUSES else ""
    return observation.result, observation.reason, observation.registered_url, detail


def _if_known(**optional: str | None) -> dict[str, str]:
    return {name: text for name, text in optional.items() if text}
