"""What is known of the registrations, put together for people and programs."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import redis

from registrar.coordination.membership import Roll
from registrar.coordination.shared import Shared
from registrar.login_breaker.breaker import LoginBreaker
from registrar.observation import Observation
from registrar.settings import RegistrarSettings
from registrar.status_report import Report, Row


def collect(
    settings: RegistrarSettings,
    shared: Shared,
    breaker: LoginBreaker,
    look: Callable[[], Sequence[Observation]] | None,
) -> Report:
    """Puts the report together.

    Args:
        settings: checked ones.
        shared: what the replicas left in Redis.
        breaker: the login breaker.
        look: asks ThingSpace; None: believe what the last tick stored, if it is recent.
    """
    stored, roll = _read_shared(settings, shared)
    seen = look() if look else [_believed(settings, s, at) for at, s in enumerate(stored)]
    rows = tuple(_row(now, last) for now, last in zip(seen, stored, strict=True))
    return Report(rows, roll, breaker.read(), stored=look is None)


def _read_shared(
    settings: RegistrarSettings, shared: Shared
) -> tuple[Sequence[Observation | None], Roll | None]:
    """What the replicas left in Redis; once it has failed it is asked nothing more, since each answer is waited for."""
    stored: Sequence[Observation | None] = [None] * len(settings.slots)
    try:
        stored = shared.store.observations(settings.slots)
        return stored, shared.read_roll()
    except redis.RedisError:
        return stored, None


def _row(now: Observation, last: Observation | None) -> Row:
    fought = last is not None and last.reason == "flapping"
    return Row(now, last, as_desired=now.healthy and not fought)


def _believed(settings: RegistrarSettings, last: Observation | None, index: int) -> Observation:
    """The last tick, unless it is too old to say anything of now: then nothing is known."""
    slot = settings.slots[index]
    longest_s = 2 * settings.interval_s + settings.lease_ttl_s
    if last and (datetime.now(UTC) - datetime.fromisoformat(last.tick)).total_seconds() < longest_s:
        return last
    reason = "stale" if last else "no-observation"
    blank = Observation.unknown(slot, reason)
    return replace(last, ours=None, result="failed", reason=reason) if last else blank
