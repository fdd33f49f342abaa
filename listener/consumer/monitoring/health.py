"""The health of a running consumer: `Consumer.health` returns it, `fota consume` decides by it. Pure."""

from dataclasses import dataclass

from listener.consumer.handlers.overdue import Overdue


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """A consumer at one moment.

    Args:
        is_running: whether `Consumer.run` is under way, and was not asked to stop.
        in_hand: how many messages were read, and are neither acknowledged nor dead-lettered yet.
        dead_threads: the names of threads that ended although the consumer runs.
        redis_silent_s: how many seconds ago a command last succeeded, in the partition where that is
            longest ago; 0 if it does not run. A consumer that has nothing to do asks about every
            `block_s`, and one that has no room for messages every five seconds at least.
        overdue: the handlers that have been running for longer than their `timeout_s`.
    """

    is_running: bool
    in_hand: int = 0
    dead_threads: tuple[str, ...] = ()
    redis_silent_s: float = 0.0
    overdue: tuple[Overdue, ...] = ()
