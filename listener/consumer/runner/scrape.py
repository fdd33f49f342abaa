"""`/metrics` of `fota consume`: what all processes counted, their health, and the group's lag, in Prometheus' format."""

import os
import threading
from collections.abc import Callable, Iterable, Sequence

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from listener.consumer.monitoring import gauges
from listener.consumer.monitoring.gauges import GaugeSpec
from listener.consumer.monitoring.metric_sums import merge_metric_files
from listener.consumer.runner.reports import Introduction
from listener.consumer.runner.slot import Slot
from listener.inspection.queue_view import QueueView, RedisFailedError, decoding_client
from listener.runtime import multiprocess_dir
from listener.settings.queue_settings import QueueSettings
from listener.settings.secret import Secret

REDIS_TIMEOUT_S = 2.0


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
        healthy, up, restarts = map(_family, (gauges.HEALTHY, gauges.UP, gauges.RESTARTS))
        hand, silent, overdue = map(_family, (gauges.IN_HAND, gauges.SILENT, gauges.OVERDUE))
        healthy.add_metric((), self._problem() is None)
        for slot in self._slots:
            label, health = [str(slot.number)], slot.health
            up.add_metric(label, slot.is_ready)
            restarts.add_metric(label, slot.failures)
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
        try:
            with decoding_client(
                settings, timeout_s=REDIS_TIMEOUT_S, name="fota-consume"
            ) as client:
                return _of_group(QueueView(settings, client), introduction.group)
        except RedisFailedError:
            # fota_consumer_redis_silent_seconds says so; figures that are missing are not wrong.
            return []


def _of_group(view: QueueView, name: str) -> Iterable[Metric]:
    lag, pending = _family(gauges.LAG), _family(gauges.PENDING)
    dead, oldest = _family(gauges.DEAD), _family(gauges.OLDEST)
    now = view.now()
    for group in (each for each in view.groups if each.name == name):
        labels = (name, str(group.partition))
        lag.add_metric(labels, group.lag.entries)
        pending.add_metric(labels, group.pending)
        dead.add_metric(labels, group.dead)
        oldest.add_metric(labels, view.group_age_s(group, now))
    return [lag, pending, dead, oldest]


def _family(spec: GaugeSpec) -> GaugeMetricFamily | CounterMetricFamily:
    family = CounterMetricFamily if spec.type == "counter" else GaugeMetricFamily
    return family(spec.name.removesuffix("_total"), spec.documentation, labels=spec.labels)
