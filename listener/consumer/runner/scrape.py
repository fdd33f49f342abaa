"""`/metrics` of `fota consume`: what all processes counted, their health, and the group's lag, in Prometheus' format."""

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from listener.consumer.monitoring.metric_sums import merge_metric_files
from listener.consumer.runner.reports import Introduction
from listener.consumer.runner.slot import Slot
from listener.inspection.consumer_groups import GroupStats
from listener.inspection.queue_view import QueueView, RedisFailedError, decoding_client
from listener.runtime import multiprocess_dir
from listener.settings.queue_settings import QueueSettings
from listener.settings.secret import Secret
from listener.times import entry_age_s

REDIS_TIMEOUT_S = 2.0
PER_GROUP = ("group", "partition")


class Scraper:
    """Answers scrapes; the group's figures are those of the processes that were last ready."""

    def __init__(self, slots: Sequence[Slot], problem: Callable[[], str | None]) -> None:
        """`problem` is what `/healthz` reports; None: nothing."""
        self._slots = slots
        self._problem = problem
        self._introduction: Introduction | None = None
        self._lock = threading.Lock()

    def render(self, accept: str) -> tuple[bytes, str]:
        """The body and its content type. Raises TimeoutError and OSError."""
        encode, content_type = choose_encoder(accept)
        with self._lock:
            return encode(self), content_type

    def collect(self) -> Iterable[Metric]:
        """All metrics; called by prometheus-client's encoder."""
        counted = merge_metric_files() if os.environ.get(multiprocess_dir.VARIABLE) else ()
        return [*counted, *self._process_metrics(), *self._group_metrics()]

    def _process_metrics(self) -> Iterable[Metric]:
        up = _gauge("fota_consumer_process_up", "1 if the process is ready, else 0.", "process")
        hand = _gauge("fota_consumer_in_hand_messages", "Messages that it has in hand.", "process")
        silent = _gauge(
            "fota_consumer_redis_silent_seconds", "Since Redis last answered it.", "process"
        )
        overdue = _gauge(
            "fota_consumer_overdue_handlers", "Handlers beyond their timeout_s.", "process"
        )
        restarts = CounterMetricFamily(
            "fota_consumer_process_restarts",
            "Processes that were started again.",
            labels=["process"],
        )
        healthy = GaugeMetricFamily(
            "fota_consumer_healthy",
            "1 if /healthz answers 200, else 0.",
            value=self._problem() is None,
        )
        for slot in self._slots:
            label, health = [str(slot.number)], slot.health
            up.add_metric(label, slot.is_ready)
            restarts.add_metric(label, max(slot.restarts, 0))
            if health:
                hand.add_metric(label, health.in_hand)
                silent.add_metric(label, health.redis_silent_s)
                overdue.add_metric(label, len(health.overdue))
        return [healthy, up, restarts, hand, silent, overdue]

    def _group_metrics(self) -> Iterable[Metric]:
        ready = (slot.introduction for slot in self._slots)
        self._introduction = next(filter(None, ready), self._introduction)
        if self._introduction is None:
            return []
        introduction = self._introduction
        settings = QueueSettings(
            url=Secret(introduction.url),
            namespace=introduction.namespace,
            partitions=introduction.partitions,
        )
        lag = _gauge("fota_group_lag_messages", "Messages that it was not given yet.", *PER_GROUP)
        pending = _gauge(
            "fota_group_pending_messages", "Given to it and not acknowledged.", *PER_GROUP
        )
        dead = _gauge("fota_dead_messages", "Messages that it gave up on.", *PER_GROUP)
        oldest = _gauge(
            "fota_group_oldest_seconds", "Age of its oldest message that is not done.", *PER_GROUP
        )
        try:
            with decoding_client(
                settings, timeout_s=REDIS_TIMEOUT_S, name="fota-consume"
            ) as client:
                view = QueueView(settings, client)
                for group in (each for each in view.groups if each.name == introduction.group):
                    labels = (group.name, str(group.partition))
                    lag.add_metric(labels, group.lag.entries)
                    pending.add_metric(labels, group.pending)
                    dead.add_metric(labels, group.dead)
                    oldest.add_metric(labels, _oldest_s(view, group))
        except RedisFailedError:
            # fota_consumer_redis_silent_seconds says so; figures that are missing are not wrong.
            return []
        return [lag, pending, dead, oldest]


def _oldest_s(view: QueueView, group: GroupStats) -> float:
    """The age of the oldest message that is pending or not read; 0 without any."""
    stream = view.partitions[group.partition].messages
    unread: Any = []
    if group.lag.entries:
        unread = view.client.xrange(stream, f"({group.cursor}", count=1)
    ids = [*filter(None, [group.oldest_pending]), *(str(entry[0]) for entry in unread)]
    now = view.now()
    return max((entry_age_s(entry_id, now) for entry_id in ids), default=0.0)


def _gauge(name: str, documentation: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, labels=labels)
