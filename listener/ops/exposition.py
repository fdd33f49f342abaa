"""`/metrics`: what all processes counted, added up, and the state of things now."""

import os
from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from listener import metrics
from listener.ops.metric_files import VARIABLE


class Gauges:
    """Collects the values of `metrics.STATES` for one answer."""

    def __init__(self) -> None:
        """Holds nothing yet."""
        self._families: dict[str, GaugeMetricFamily] = {}

    def set(self, state: metrics.State, value: float, *labels: str) -> None:
        """Sets a gauge; the labels in the order in which they are declared."""
        if state.name not in self._families:
            self._families[state.name] = GaugeMetricFamily(
                state.name, state.documentation, labels=state.labels
            )
        self._families[state.name].add_metric(labels, value)

    def collect(self) -> Iterable[Metric]:
        """What was set."""
        return self._families.values()


def exposition(gauges: Collector, accept: str) -> tuple[bytes, str]:
    """The answer's body and its content type, in the format that the Accept header prefers."""
    registry = CollectorRegistry()
    if os.environ.get(VARIABLE):
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        for metric in metrics.EVENTS:
            registry.register(metric)
    registry.register(gauges)
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type
