"""Every metric of the service is declared here: its name, its labels, what it says.

There are two sorts. Counters and histograms (`PROCESS_METRICS`) are kept by each process for itself, by `count` and
`observe`, and added up at a scrape (prometheus-client's multi-process mode). Gauges (`SCRAPE_GAUGES`) have no value
between scrapes: whichever worker answers a scrape looks their values up.

A metric never costs a message: a process that cannot have its files counts nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from prometheus_client import Counter, Histogram, values

from listener.runtime import multiprocess_dir, stderr

# prometheus-client names its files by process ids, which repeat in a folder that outlives a container.
# A process without reserved files, such as a command, must leave none there at all.
values.ValueClass = (
    values.MultiProcessValue(multiprocess_dir.file_id)  # type: ignore[no-untyped-call]
    if multiprocess_dir.file_id()
    else values.MutexValue
)

NAMESPACE = "fota"
LATENCY_BUCKETS_S = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 4.0
)  # fmt: skip
CALL_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
GROUP_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
RESULTS = ("new", "duplicate")
SECRETS = ("token", "password")

PROCESS_METRICS: list[Counter | Histogram] = []
"""In the order of the documentation."""


def _counter(name: str, documentation: str, labels: Sequence[str] = ()) -> Counter:
    metric = Counter(name, documentation, labels, namespace=NAMESPACE)
    PROCESS_METRICS.append(metric)
    return metric


def _histogram(
    name: str, documentation: str, labels: Sequence[str] = (), *, buckets: Sequence[float]
) -> Histogram:
    metric = Histogram(name, documentation, labels, namespace=NAMESPACE, buckets=buckets)
    PROCESS_METRICS.append(metric)
    return metric


MESSAGES = _counter(
    "messages",
    "Authentic messages that were answered 200, by kind; result is `new` or `duplicate`.",
    ["kind", "result"],
)
REFUSALS = _counter(
    "refusals",
    "Requests that were refused, by the reason word of the answer.",
    ["reason"],
)
ACKNOWLEDGEMENT = _histogram(
    "acknowledgement_seconds",
    "From a message's headers to its being kept, in Redis or in the spool.",
    buckets=LATENCY_BUCKETS_S,
)
COMMIT = _histogram(
    "commit_messages",
    "Messages that went to Redis together in one group commit.",
    buckets=GROUP_BUCKETS,
)
SPOOLED = _counter(
    "spooled_messages",
    "Messages that went to the spool because Redis did not confirm them in time.",
)
DRAINED = _counter("drained_messages", "Messages that were moved from the spool to Redis.")
SPOOL_FAILURES = _counter(
    "spool_failures",
    "Messages that the spool could not keep in time; each was answered 503.",
)
SPOOL_COMMIT = _histogram(
    "spool_commit_seconds",
    "How long the spool's disk took for a group of messages, sync included.",
    buckets=LATENCY_BUCKETS_S,
)
PREVIOUS_SECRETS = _counter(
    "previous_secret_uses",
    "Requests that proved themselves by a secret that is being replaced; secret is `token` or "
    "`password`.",
    ["secret"],
)
TICKS = _counter(
    "registrar_ticks",
    "Looks at the registration, by what the registrar did about it.",
    ["account", "version", "result"],
)
DRIFT = _counter(
    "registrar_drift",
    "Looks at the registration that found another URL than ours, or none, where ours had been.",
    ["account", "version"],
)
PROVIDER_CALLS = _counter(
    "provider_calls",
    "Calls to ThingSpace; result is `ok` or the reason word of the failure.",
    ["call", "result"],
)
PROVIDER_CALL = _histogram(
    "provider_call_seconds",
    "How long calls to ThingSpace took, answered or not.",
    ["call"],
    buckets=CALL_BUCKETS_S,
)
LOST_LINES = _counter(
    "log_lines_lost",
    "Log lines that were lost because nobody read them, or because they could not be written.",
)


@dataclass(frozen=True)
class GaugeSpec:
    """A gauge whose values are looked up at a scrape."""

    name: str
    documentation: str
    labels: tuple[str, ...] = ()


SCRAPE_GAUGES: list[GaugeSpec] = []
"""In the order of the documentation."""


def _gauge(name: str, documentation: str, labels: tuple[str, ...] = ()) -> GaugeSpec:
    gauge = GaugeSpec(name, documentation, labels)
    SCRAPE_GAUGES.append(gauge)
    return gauge


BUILD = _gauge(
    "fota_build_info", "Always 1; the version and the commit that run.", ("version", "commit")
)
REDIS_UP = _gauge(
    "fota_redis_up",
    "1 if Redis told the state of the queue, else 0; then the rest of it is missing.",
)
QUEUE = _gauge("fota_queue_messages", "Messages in the stream, read or not.", ("partition",))
OLDEST = _gauge(
    "fota_queue_oldest_seconds", "Age of the oldest message in the stream.", ("partition",)
)
LAG = _gauge(
    "fota_group_lag_messages",
    "Messages that a consumer group was not given yet.",
    ("group", "partition"),
)
PENDING = _gauge(
    "fota_group_pending_messages",
    "Messages that a consumer group was given and has not acknowledged.",
    ("group", "partition"),
)
DEAD = _gauge(
    "fota_dead_messages", "Messages that a consumer group gave up on.", ("group", "partition")
)
GROUP_OLDEST = _gauge(
    "fota_group_oldest_seconds",
    "Age of the oldest message that a consumer group was not given or has not acknowledged; 0 without any.",
    ("group", "partition"),
)
QUARANTINED = _gauge(
    "fota_quarantined_messages", "Refused messages of proven senders that are kept."
)
SPOOL = _gauge("fota_spool_messages", "Messages in this host's spool.")
SPOOL_BYTES = _gauge("fota_spool_bytes", "What the messages that wait take of SPOOL_MAX_BYTES.")
SPOOL_LIMIT = _gauge(
    "fota_spool_limit_bytes", "The most that may wait in the spool: SPOOL_MAX_BYTES."
)
SPOOL_OLDEST = _gauge(
    "fota_spool_oldest_seconds", "Age of the oldest message in this host's spool; 0 if it is empty."
)
SPOOL_SET_ASIDE = _gauge(
    "fota_spool_set_aside_messages",
    "Messages in this host's spool that Redis refused by themselves.",
)
CORRUPT_JOURNALS = _gauge(
    "fota_spool_corrupt_journals",
    "Corrupt journals that were set aside in SPOOL_DIR; there may be messages in them.",
)
REGISTRATION = _gauge(
    "fota_registration_ours",
    "1 if our URL was registered at the registrar's last look, else 0; missing while nobody could look.",
    ("account", "version"),
)
OBSERVED = _gauge(
    "fota_registration_observed_timestamp_seconds",
    "When the registrar looked last.",
    ("account", "version"),
)
TOKEN_AGE = _gauge(
    "fota_registration_token_age_seconds",
    "How old the registrar's OAuth token was at its last look.",
    ("account", "version"),
)
BREAKER = _gauge(
    "fota_login_breaker_open", "1 if refused logins have stopped all further ones, else 0."
)
RECOVERY_UPGRADES = _gauge(
    "fota_recovery_upgrades",
    "Upgrades that ThingSpace's reports showed at the last sweep.",
    ("account", "version"),
)
RECOVERY_DUE = _gauge(
    "fota_recovery_due_messages",
    "Messages that ThingSpace's reports prove due since the first sweep: one for each upgrade and kind.",
    ("account", "version", "kind"),
)
RECOVERY_ANNOUNCED = _gauge(
    "fota_recovery_announced_messages",
    "Of those that were due, the ones that came; over those that came or are missing it is the delivery rate.",
    ("account", "version", "kind"),
)
RECOVERY_MISSING = _gauge(
    "fota_recovery_missing_messages",
    "Of those that were due, the ones that two looks did not find, recovered or not.",
    ("account", "version", "kind"),
)
RECOVERY_RECOVERED = _gauge(
    "fota_recovery_recovered_messages",
    "Of the missing, the ones of which a recovered message was queued.",
    ("account", "version", "kind"),
)
RECOVERY_UNKNOWN = _gauge(
    "fota_recovery_unknown_messages",
    "Of those that were due, the ones of which it is not known whether they came.",
    ("account", "version", "kind"),
)
RECOVERY_DEVICES = _gauge(
    "fota_recovery_missing_devices",
    "Where messages name devices: the devices of all upgrades of which one is missing, recovered or not.",
    ("account", "version", "kind"),
)
RECOVERY_SWEPT = _gauge(
    "fota_recovery_sweep_timestamp_seconds",
    "When the last complete sweep of ThingSpace's reports began.",
    ("account", "version"),
)
RECOVERY_INTERVAL = _gauge(
    "fota_recovery_interval_seconds",
    "How often ThingSpace's reports are to be swept (`RECOVERY_INTERVAL_H`).",
    ("account", "version"),
)


def create_label_values(kinds: Iterable[str], reasons: Iterable[str]) -> None:
    """Creates the counters of all known label values at 0: a rate sees no counter that appears out of nowhere."""
    for kind in kinds:
        for result in RESULTS:
            count(MESSAGES, kind, result, by=0)
    for reason in reasons:
        count(REFUSALS, reason, by=0)
    for secret in SECRETS:
        count(PREVIOUS_SECRETS, secret, by=0)
    count(LOST_LINES, by=0)


class _Recording:
    """Whether this process counts."""

    is_enabled = True


def count(metric: Counter, *labels: str, by: float = 1) -> None:
    """Adds to a counter, if this process counts."""
    if _Recording.is_enabled:
        (_child(metric, labels) if labels else metric).inc(by)


def observe(metric: Histogram, value: float, *labels: str) -> None:
    """Adds a value to a histogram, if this process counts."""
    if _Recording.is_enabled:
        (_child(metric, labels) if labels else metric).observe(value)


@cache
def _child(metric: Any, labels: tuple[str, ...]) -> Any:
    """The metric with these label values; cached, because `labels` takes a lock and every message counts."""
    return metric.labels(*labels)


def count_lost_lines() -> None:
    """Adds the log lines that this process lost since the last call.

    To be called periodically: a line may get lost in a signal handler, where a counter's lock may be held.
    """
    if lost := stderr.writer().take_lost():
        count(LOST_LINES, by=lost)


def disable() -> None:
    """Counts nothing more in this process."""
    _Recording.is_enabled = False
