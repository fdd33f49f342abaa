"""`/metrics`: what all processes counted, added up, and the state of things now."""

import os
import struct
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from listener import metrics
from listener.runtime import metric_files, multiprocess_dir
from listener.runtime.native_thread import NativeThread

# Well below the ten seconds that Prometheus waits by default.
ADDING_S = 5.0
ATTEMPTS = 20
_thread = NativeThread()


class Gauges:
    """Collects the values of `metrics.SCRAPE_GAUGES` for one answer."""

    def __init__(self) -> None:
        """Holds nothing yet."""
        self._families: dict[str, GaugeMetricFamily] = {}

    def set(self, state: metrics.GaugeSpec, value: float, *labels: str) -> None:
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
    """The answer's body and its content type, in the format that the Accept header prefers.

    Raises:
        TimeoutError: the files could not be added up in time.
    """
    registry = CollectorRegistry()
    if os.environ.get(multiprocess_dir.VARIABLE):
        # Thousands of files of other programs may lie in the folder: messages do not wait for them.
        registry.register(Sums(_thread.run(_add_up, ADDING_S)))
    else:
        for metric in metrics.PROCESS_METRICS:
            registry.register(metric)
    registry.register(gauges)
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class Sums(Collector):
    """What all processes counted, added up."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = tuple(families)

    def collect(self) -> Iterable[Metric]:
        """The sums."""
        return self._families


def _add_up() -> Iterable[Metric]:
    """The sums over all files, once no file was absorbed meanwhile."""
    folder = multiprocess_dir.folder()
    for _ in range(ATTEMPTS):
        files, version = metric_files.readable_files(folder)
        try:
            found = _merge(files)
        except FileNotFoundError:
            continue
        if metric_files.merged_version(folder) == version:
            return found
    raise TimeoutError("files of metrics come and go too fast")


def _merge(files: list[Path]) -> Iterable[Metric]:
    """The sums over some files; a broken one of another program must not cost the others."""
    merge = MultiProcessCollector.merge
    try:
        found: Iterable[Metric] = merge([str(path) for path in files])  # type: ignore[no-untyped-call]
    except (RuntimeError, TypeError, ValueError, struct.error):
        found = merge([str(path) for path in files if metric_files.is_readable(path)])  # type: ignore[no-untyped-call]
    return found
