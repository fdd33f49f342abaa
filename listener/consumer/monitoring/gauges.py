"""What `fota consume` serves besides the counts of its processes: looked up at each scrape. Pure."""

from typing import NamedTuple


class GaugeSpec(NamedTuple):
    """A metric as it is documented.

    Attributes:
        name: as exposed.
        documentation: a sentence.
        labels: their names.
        type: Prometheus' word.
    """

    name: str
    documentation: str
    labels: tuple[str, ...] = ()
    type: str = "gauge"


PER_PROCESS = ("process",)
PER_PARTITION = ("group", "partition")

HEALTHY = GaugeSpec("fota_consumer_healthy", "1 if `/healthz` answers 200, else 0.")
UP = GaugeSpec(
    "fota_consumer_process_up",
    "1 if the process has found its Consumer and runs, else 0.",
    PER_PROCESS,
)
RESTARTS = GaugeSpec(
    "fota_consumer_process_restarts_total",
    "Processes that died, or were replaced because they were no longer fit; not those of SIGHUP and `--reload`.",
    PER_PROCESS,
    "counter",
)
IN_HAND = GaugeSpec(
    "fota_consumer_in_hand_messages",
    "Messages that the process has read, and neither acknowledged nor dead-lettered yet.",
    PER_PROCESS,
)
SILENT = GaugeSpec(
    "fota_consumer_redis_silent_seconds", "Seconds since Redis last answered it.", PER_PROCESS
)
OVERDUE = GaugeSpec(
    "fota_consumer_overdue_handlers",
    "Handlers that have been running for longer than their timeout_s.",
    PER_PROCESS,
)
LAG = GaugeSpec(
    "fota_group_lag_messages", "Messages that the group was not given yet.", PER_PARTITION
)
PENDING = GaugeSpec(
    "fota_group_pending_messages",
    "Messages that the group was given and has not acknowledged.",
    PER_PARTITION,
)
DEAD = GaugeSpec("fota_dead_messages", "Messages that the group gave up on.", PER_PARTITION)
OLDEST = GaugeSpec(
    "fota_group_oldest_seconds",
    "Age of the oldest message that the group was not given or has not acknowledged; 0 without any.",
    PER_PARTITION,
)
RUNNER_GAUGES = (HEALTHY, UP, RESTARTS, IN_HAND, SILENT, OVERDUE, LAG, PENDING, DEAD, OLDEST)
"""In the order of the documentation."""
