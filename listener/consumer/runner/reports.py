"""What a consuming process and its supervisor say to each other over a socket pair. Pure.

The process reports in JSON, one object a line; the supervisor asks in single bytes.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

from listener.consumer.monitoring.health import Health

EVERY_S = 1.0
"""How often a process reports its health."""
STOP = b"s"
"""Finish what is in hand, within `shutdown_s`."""
STOP_AT_ONCE = b"n"
"""Hand back what is in hand."""


@dataclass(frozen=True, kw_only=True)
class Introduction:
    """The first report: the consumer was found, and is about to run.

    Attributes:
        group: of the consumer.
        url: REDIS_URL, which no other process sees: the supervisor looks up the group's lag.
        namespace: see `QueueSettings`.
        partitions: see `QueueSettings`.
        shutdown_s: see `Options`.
        takeover_idle_s: see `Options`.
        metric_files: what names its files of metrics; empty without any.
    """

    group: str
    url: str
    namespace: str
    partitions: int
    shutdown_s: float
    takeover_idle_s: float
    metric_files: str


@dataclass(frozen=True, kw_only=True)
class HealthReport:
    """A later report: the health of one process at one moment, in texts and numbers.

    Attributes:
        is_running: see `Health`.
        in_hand: see `Health`.
        dead_threads: see `Health`.
        redis_silent_s: see `Health`.
        overdue: a sentence for each handler beyond its time.
    """

    is_running: bool
    in_hand: int
    dead_threads: tuple[str, ...]
    redis_silent_s: float
    overdue: tuple[str, ...]

    @classmethod
    def of(cls, health: Health) -> "HealthReport":
        """The report of a consumer's health."""
        return cls(
            is_running=health.is_running,
            in_hand=health.in_hand,
            dead_threads=health.dead_threads,
            redis_silent_s=round(health.redis_silent_s, 1),
            overdue=tuple(
                f"{late.handler} has been running for {late.running_s:.0f} s, "
                f"{late.timeout_s:g} s are allowed (entry {late.entry_id})"
                for late in health.overdue
            ),
        )


Report = Introduction | HealthReport


def encode(report: Report) -> bytes:
    """One line."""
    name = type(report).__name__
    return json.dumps({"report": name, **asdict(report)}).encode() + b"\n"


def decode(line: bytes) -> Report:
    """The report of a line."""
    fields: dict[str, Any] = json.loads(line)
    if fields.pop("report") == Introduction.__name__:
        return Introduction(**fields)
    lists = ("dead_threads", "overdue")
    return HealthReport(**{**fields, **{name: tuple(fields[name]) for name in lists}})
