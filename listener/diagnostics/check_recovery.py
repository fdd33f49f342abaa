"""Checks what the last sweeps of the recovery found: messages that never came, and sweeps that are late."""

from collections.abc import Iterator
from datetime import datetime

from listener.diagnostics.finding import Finding, ok, warning
from listener.inspection.queue_view import QueueView
from listener.inspection.registrations import read_recovery
from listener.recovered.recovery_state import RecoveryState, SlotRecovery
from listener.times import format_duration

TOPIC = "recovery"
# Sweeps fail now and then, and go on later.
LATE_INTERVALS = 3
COMMAND = "python -m registrar recover names the upgrades; docs/recovery.md says what it proves"
LATE = "does the registrar run, and with RECOVERY=report or queue?"


def findings(view: QueueView, now: datetime) -> Iterator[Finding]:
    """Nothing where no sweep has ended yet. Raises redis.RedisError. `now` is by Redis's clock."""
    state = read_recovery(view.client, view.settings.namespace)
    if state:
        for name, slot in sorted(state.slots.items()):
            yield finding(state, name, slot, now)


def finding(state: RecoveryState, name: str, slot: SlotRecovery, now: datetime) -> Finding:
    """What the last sweep of a slot says; `now` decides how old it is."""
    if slot.problem:
        return warning(TOPIC, f"{name}: the last sweep failed: {slot.problem}", COMMAND)
    if slot.swept is None:
        return ok(TOPIC, f"{name}: the first sweep has not ended yet")
    age_s = max((now - datetime.fromisoformat(slot.swept)).total_seconds(), 0)
    swept = f"{name}: swept {format_duration(age_s)} ago"
    if age_s > LATE_INTERVALS * state.interval_h * 3600:
        return warning(TOPIC, f"{swept}, a sweep is due every {state.interval_h:g} h", LATE)
    if slot.baseline is None:
        return ok(TOPIC, f"{swept}, no baseline yet: not every list could be read")
    missing = {kind: counts.missing - counts.recovered for kind, counts in slot.kinds.items()}
    if texts := [f"{count} {kind}" for kind, count in missing.items() if count > 0]:
        return warning(TOPIC, f"{swept}; never came: {', '.join(texts)}", COMMAND)
    return ok(TOPIC, f"{swept}, {slot.upgrades} upgrades, nothing is missing that is not recovered")
