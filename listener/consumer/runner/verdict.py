"""Whether the processes together are healthy, and if not, why. Pure."""

from collections.abc import Sequence

from listener.consumer.runner.slot import Slot

# Longer than a command of the consumer may take, its repetition included.
MAX_REDIS_SILENT_S = 30.0
MAX_UNHEARD_S = 10.0


def problem(slots: Sequence[Slot], now: float, *, stopping: bool) -> str | None:
    """What is wrong, in a sentence; None: every process consumes.

    Args:
        slots: all processes.
        now: on the monotonic clock, in seconds.
        stopping: the supervisor was asked to stop.
    """
    if stopping:
        return "it is stopping"
    for slot in slots:
        if text := _problem_of(slot, now):
            return f"process {slot.number} of {len(slots)} {text}"
    return None


def _problem_of(slot: Slot, now: float) -> str | None:
    health, unheard_s = slot.health, now - slot.heard_at
    if not slot.is_alive:
        return f"{slot.ended or 'has not started'}; it starts again soon"
    if not slot.is_ready or health is None:
        return "is not ready yet"
    problems = (
        (unheard_s > MAX_UNHEARD_S, f"has not reported for {unheard_s:.0f} s"),
        (health.dead_threads, f"has lost threads: {', '.join(health.dead_threads)}"),
        (health.overdue, f"has a handler beyond its time: {'; '.join(health.overdue)}"),
        (
            health.redis_silent_s > MAX_REDIS_SILENT_S,
            f"has had no answer of Redis for {health.redis_silent_s:.0f} s",
        ),
        (not health.is_running, "does not consume"),
    )
    return next((text for is_wrong, text in problems if is_wrong), None)
