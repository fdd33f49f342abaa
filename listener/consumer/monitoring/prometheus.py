"""An observer that counts for Prometheus. Importing this declares the metrics in prometheus-client's registry."""

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence

from prometheus_client import Counter, Histogram

from listener.consumer.options import Observer
from listener.messages.kinds import KIND_NAMES, UNKNOWN

SECONDS_BUCKETS = (
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0
)  # fmt: skip
DEAD_REASONS = ("handler-failed", "timed-out", "rejected", "crashed", "malformed")

HANDLED = Histogram(
    "fota_consumer_handled_seconds",
    "How long handlers took that returned; its count is the number of messages that were handled.",
    ["group", "kind"],
    buckets=SECONDS_BUCKETS,
)
FAILED = Counter(
    "fota_consumer_failed_messages", "Deliveries whose handler raised.", ["group", "kind"]
)
RETRIED = Counter(
    "fota_consumer_retried_messages",
    "Deliveries whose handler raised, and whose message is handled again.",
    ["group", "kind"],
)
DEAD = Counter(
    "fota_consumer_dead_messages",
    "Messages that were moved to the dead stream, by the reason.",
    ["group", "kind", "reason"],
)
RECEIVED = Counter(
    "fota_consumer_received_messages",
    "Messages that were read for the first time in this group.",
    ["group", "partition"],
)
TAKEN_OVER = Counter(
    "fota_consumer_taken_over_messages",
    "Messages that came from consumers that died, were handed back, or requeued.",
    ["group", "partition"],
)
LOST = Counter(
    "fota_consumer_lost_messages",
    "Messages that were in hand and belong to another consumer now.",
    ["group"],
)
CONSUMER_METRICS = (HANDLED, FAILED, RETRIED, DEAD, RECEIVED, TAKEN_OVER, LOST)
"""In the order of the documentation."""


class PrometheusObserver(Observer):
    """Counts what a consumer does. `fota consume --metrics-bind` adds one by itself.

    Several may exist in a process, one for each consumer. What was handled is counted right before it is
    acknowledged, many messages at once: a process that is killed has counted whatever it has acknowledged,
    and what it has not is handled, and counted, again.
    """

    def __init__(self, group: str) -> None:
        """Creates the counters of all kinds at 0: a rate sees no counter that appears out of nowhere.

        Args:
            group: the consumer's, for the label.
        """
        self._group = group
        self._not_counted: dict[str, deque[float]] = {}
        for kind in KIND_NAMES:
            HANDLED.labels(group, kind)
            self._not_counted[kind] = deque()
            FAILED.labels(group, kind)
            RETRIED.labels(group, kind)
            for reason in DEAD_REASONS:
                DEAD.labels(group, kind, reason)
        self._lost = LOST.labels(group)

    def received(self, messages: int, partition: int) -> None:
        RECEIVED.labels(self._group, str(partition)).inc(messages)

    def taken_over(self, messages: int, partition: int) -> None:
        TAKEN_OVER.labels(self._group, str(partition)).inc(messages)

    def handled(self, kind: str, seconds: float) -> None:
        # Counting each by itself would take a fifth of what a message takes altogether.
        self._not_counted[_known(kind)].append(seconds)

    def acknowledging(self, messages: int) -> None:  # noqa: ARG002 - some had no handler
        for kind, waiting in self._not_counted.items():
            if waiting:
                values = [waiting.popleft() for _ in range(len(waiting))]
                _observe_all(HANDLED.labels(self._group, kind), values)

    def failed(self, kind: str, error: BaseException) -> None:  # noqa: ARG002 - texts are no labels
        FAILED.labels(self._group, _known(kind)).inc()

    def retried(self, kind: str, delay_s: float) -> None:  # noqa: ARG002 - see the log
        RETRIED.labels(self._group, _known(kind)).inc()

    def buried(self, kind: str, reason: str) -> None:
        DEAD.labels(self._group, _known(kind), reason).inc()

    def lost(self, messages: int) -> None:
        self._lost.inc(messages)


def _known(kind: str) -> str:
    """A kind of a later version counts as unknown, so that labels stay few."""
    return kind if kind in KIND_NAMES else UNKNOWN


def _observe_all(histogram: Histogram, values: Sequence[float]) -> None:
    """Does what `observe` of each value would, and writes each number once: prometheus-client has no such method."""
    counts = [0] * (len(SECONDS_BUCKETS) + 1)
    for value in values:
        counts[bisect_left(SECONDS_BUCKETS, value)] += 1
    histogram._sum.inc(sum(values))  # noqa: SLF001
    for bucket, count in zip(histogram._buckets, counts, strict=True):  # noqa: SLF001
        if count:
            bucket.inc(count)
