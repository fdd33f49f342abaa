"""`/metrics`: the counters of all processes, added up, and the gauges, read at the scrape, in Prometheus' formats."""

import os
import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from listener import metrics
from listener.consumer.monitoring.metric_sums import merge_metric_files
from listener.inspection.queue_view import QueueView, RedisFailedError
from listener.inspection.registrations import read_recovery, read_registrations
from listener.ops.queue_connection import open_queue_view
from listener.ops.version import version_info
from listener.registration_state import NO_MORE_LOGINS
from listener.runtime import multiprocess_dir
from listener.runtime.native_thread import NativeThread
from listener.settings.settings import Settings
from listener.spool.contents import read_status
from listener.times import entry_age_s

# Well below the ten seconds that Prometheus waits by default.
MERGE_TIMEOUT_S = 5.0
_thread = NativeThread()


def render_metrics(settings: Settings, accept: str) -> tuple[bytes, str]:
    """The response's body and content type, in the format that the Accept header prefers.

    Raises:
        TimeoutError: the files of the processes could not be added up in time.
    """
    scrape = Scrape(_process_metrics())
    _set_gauges(scrape, settings)
    encode, content_type = choose_encoder(accept)
    return encode(scrape), content_type


class Scrape:
    """The metrics of one scrape: those that the processes count, and the gauges that are set."""

    def __init__(self, process_metrics: Iterable[Metric]) -> None:
        self._process_metrics = process_metrics
        self._gauges: dict[str, GaugeMetricFamily] = {}

    def set(self, gauge: metrics.GaugeSpec, value: float, *labels: str) -> None:
        """Sets a gauge; the labels in the order in which they are declared."""
        family = self._gauges.setdefault(
            gauge.name, GaugeMetricFamily(gauge.name, gauge.documentation, labels=gauge.labels)
        )
        family.add_metric(labels, value)

    def collect(self) -> Iterable[Metric]:
        """All metrics; called by prometheus-client's encoder."""
        return [*self._process_metrics, *self._gauges.values()]


def _process_metrics() -> Iterable[Metric]:
    if os.environ.get(multiprocess_dir.VARIABLE):
        # In a native thread: the folder may hold thousands of other programs' files, and messages must not wait.
        return _thread.run(merge_metric_files, MERGE_TIMEOUT_S)
    return [family for metric in metrics.PROCESS_METRICS for family in metric.collect()]


def _set_gauges(scrape: Scrape, settings: Settings) -> None:
    """Sets every gauge that can be read now; the others are missing from the response."""
    version = version_info()
    scrape.set(metrics.BUILD, 1, str(version["version"]), str(version["commit"] or ""))
    _set_spool_gauges(scrape, settings)
    try:
        with open_queue_view(settings) as view:
            _set_queue_gauges(scrape, view)
            _set_registration_gauges(scrape, view)
            _set_recovery_gauges(scrape, view)
        scrape.set(metrics.REDIS_UP, 1)
    except RedisFailedError:
        # Not logged: the receiver, which needs Redis for messages, logs why.
        scrape.set(metrics.REDIS_UP, 0)


def _set_spool_gauges(scrape: Scrape, settings: Settings) -> None:
    if settings.spool.folder is None:
        return
    scrape.set(metrics.SPOOL_LIMIT, settings.spool.max_bytes)
    try:
        spool = read_status(settings.spool.folder, in_service=True)
    except (OSError, sqlite3.Error):
        # The alert on the spool fires on the missing metric.
        return
    scrape.set(metrics.CORRUPT_JOURNALS, len(spool.corrupt))
    scrape.set(metrics.SPOOL_SET_ASIDE, spool.set_aside)
    scrape.set(metrics.SPOOL, spool.messages)
    scrape.set(metrics.SPOOL_BYTES, spool.bytes)
    age_s = (datetime.now(UTC) - spool.oldest).total_seconds() if spool.oldest else 0
    scrape.set(metrics.SPOOL_OLDEST, max(age_s, 0))


def _set_queue_gauges(scrape: Scrape, view: QueueView) -> None:
    now = view.now()
    streams = {stream.partition: stream for stream in view.streams}
    for partition in view.partitions:
        stream, number = streams.get(partition.number), str(partition.number)
        scrape.set(metrics.QUEUE, stream.entries if stream else 0, number)
        if stream and stream.oldest:
            scrape.set(metrics.OLDEST, entry_age_s(stream.oldest, now), number)
    for group in view.groups:
        labels = (group.name, str(group.partition))
        scrape.set(metrics.LAG, group.lag.entries, *labels)
        scrape.set(metrics.PENDING, group.pending, *labels)
        scrape.set(metrics.DEAD, group.dead, *labels)
        scrape.set(metrics.GROUP_OLDEST, view.group_age_s(group, now), *labels)
    scrape.set(metrics.QUARANTINED, view.client.xlen(view.partitions[0].quarantine))


def _set_registration_gauges(scrape: Scrape, view: QueueView) -> None:
    registrations = read_registrations(view.client, view.settings.namespace)
    for registration in registrations:
        labels = (registration.account, registration.version)
        if registration.ours is not None:
            scrape.set(metrics.REGISTRATION, registration.ours, *labels)
        if registration.observed_at:
            scrape.set(metrics.OBSERVED, registration.observed_at.timestamp(), *labels)
        if registration.token_age_s is not None:
            scrape.set(metrics.TOKEN_AGE, registration.token_age_s, *labels)
    if registrations:
        is_open = any(registration.reason in NO_MORE_LOGINS for registration in registrations)
        scrape.set(metrics.BREAKER, is_open)


def _set_recovery_gauges(scrape: Scrape, view: QueueView) -> None:
    recovery = read_recovery(view.client, view.settings.namespace)
    if not recovery:
        return
    for name, slot in recovery.slots.items():
        account, _, version = name.rpartition("/")
        scrape.set(metrics.RECOVERY_UPGRADES, slot.upgrades, account, version)
        scrape.set(metrics.RECOVERY_INTERVAL, recovery.interval_h * 3600, account, version)
        if slot.swept:
            swept = datetime.fromisoformat(slot.swept).timestamp()
            scrape.set(metrics.RECOVERY_SWEPT, swept, account, version)
        for kind, counts in slot.kinds.items():
            labels = (account, version, kind)
            scrape.set(metrics.RECOVERY_DUE, counts.due, *labels)
            scrape.set(metrics.RECOVERY_ANNOUNCED, counts.announced, *labels)
            scrape.set(metrics.RECOVERY_MISSING, counts.missing, *labels)
            scrape.set(metrics.RECOVERY_RECOVERED, counts.recovered, *labels)
            scrape.set(metrics.RECOVERY_UNKNOWN, counts.unknown, *labels)
            scrape.set(metrics.RECOVERY_DEVICES, counts.devices_missing, *labels)
