"""Every metric of the service: its name, its labels, what it says. No other module spells one.

Two sorts. What happens is counted where it happens, with `count` and `observe`, by each process for
itself, and added up when somebody asks (prometheus-client's multi-process mode). What is (`SCRAPE_GAUGES`) is
looked up when somebody asks, once, whichever worker answers.

A metric never costs a message: where its file cannot be had, nothing is counted in that process.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client import Counter, Histogram, values

from listener.runtime import multiprocess_dir, stderr

# prometheus_client's own files have process ids for names, which repeat in a folder that outlives a container.
# Processes without reserved files, such as commands, must leave none there at all.
values.ValueClass = (
    values.MultiProcessValue(multiprocess_dir.file_id)  # type: ignore[no-untyped-call]
    if multiprocess_dir.file_id()
    else values.MutexValue
)

PREFIX = "fota"
LATENCIES_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 4.0)
CALLS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
RESULTS = ("new", "duplicate")
SECRETS = ("token", "password")
GROUPS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)

MESSAGES = Counter(
    "messages",
    "Authentic messages that were answered 200, by kind; result is `new` or `duplicate`.",
    ["kind", "result"],
    namespace=PREFIX,
)
REFUSALS = Counter(
    "refusals",
    "Requests that were refused, by the reason word of the answer.",
    ["reason"],
    namespace=PREFIX,
)
ACKNOWLEDGEMENT = Histogram(
    "acknowledgement_seconds",
    "From a message's headers to its being kept, in Redis or in the spool.",
    namespace=PREFIX,
    buckets=LATENCIES_S,
)
COMMIT = Histogram(
    "commit_messages",
    "Messages that went to Redis together in one group commit.",
    namespace=PREFIX,
    buckets=GROUPS,
)
SPOOLED = Counter(
    "spooled_messages",
    "Messages that went to the spool because Redis did not confirm them in time.",
    namespace=PREFIX,
)
DRAINED = Counter(
    "drained_messages", "Messages that were moved from the spool to Redis.", namespace=PREFIX
)
SPOOL_FAILURES = Counter(
    "spool_failures",
    "Messages that the spool could not keep in time; each was answered 503.",
    namespace=PREFIX,
)
SPOOL_COMMIT = Histogram(
    "spool_commit_seconds",
    "How long the spool's disk took for a group of messages, sync included.",
    namespace=PREFIX,
    buckets=LATENCIES_S,
)
PREVIOUS_SECRETS = Counter(
    "previous_secret_uses",
    "Requests that proved themselves by a secret that is being replaced; secret is `token` or "
    "`password`.",
    ["secret"],
    namespace=PREFIX,
)
TICKS = Counter(
    "registrar_ticks",
    "Looks at the registration, by what the registrar did about it.",
    ["account", "version", "result"],
    namespace=PREFIX,
)
DRIFT = Counter(
    "registrar_drift",
    "Looks at the registration that found another URL than ours, or none, where ours had been.",
    ["account", "version"],
    namespace=PREFIX,
)
PROVIDER_CALLS = Counter(
    "provider_calls",
    "Calls to ThingSpace; result is `ok` or the reason word of the failure.",
    ["call", "result"],
    namespace=PREFIX,
)
PROVIDER_CALL = Histogram(
    "provider_call_seconds",
    "How long calls to ThingSpace took, answered or not.",
    ["call"],
    namespace=PREFIX,
    buckets=CALLS_S,
)
LOST_LINES = Counter(
    "log_lines_lost",
    "Log lines that were lost because nobody read them, or because they could not be written.",
    namespace=PREFIX,
)
PROCESS_METRICS = (
    MESSAGES,
    REFUSALS,
    ACKNOWLEDGEMENT,
    COMMIT,
    SPOOLED,
    DRAINED,
    SPOOL_FAILURES,
    SPOOL_COMMIT,
    PREVIOUS_SECRETS,
    TICKS,
    DRIFT,
    PROVIDER_CALLS,
    PROVIDER_CALL,
    LOST_LINES,
)


@dataclass(frozen=True)
class GaugeSpec:
    """A gauge whose value is looked up when it is asked for."""

    name: str
    documentation: str
    labels: tuple[str, ...] = ()


BUILD = GaugeSpec(
    "fota_build_info", "Always 1; the version and the commit that run.", ("version", "commit")
)
REDIS_UP = GaugeSpec(
    "fota_redis_up",
    "1 if Redis told the state of the queue, else 0; then the rest of it is missing.",
)
QUEUE = GaugeSpec("fota_queue_messages", "Messages in the stream, read or not.", ("partition",))
OLDEST = GaugeSpec(
    "fota_queue_oldest_seconds", "Age of the oldest message in the stream.", ("partition",)
)
LAG = GaugeSpec(
    "fota_group_lag_messages",
    "Messages that a consumer group was not given yet.",
    ("group", "partition"),
)
PENDING = GaugeSpec(
    "fota_group_pending_messages",
    "Messages that a consumer group was given and has not acknowledged.",
    ("group", "partition"),
)
DEAD = GaugeSpec(
    "fota_dead_messages", "Messages that a consumer group gave up on.", ("group", "partition")
)
QUARANTINED = GaugeSpec(
    "fota_quarantined_messages", "Refused messages of proven senders that are kept."
)
SPOOL = GaugeSpec("fota_spool_messages", "Messages in this host's spool.")
SPOOL_BYTES = GaugeSpec("fota_spool_bytes", "What the messages that wait take of SPOOL_MAX_BYTES.")
SPOOL_LIMIT = GaugeSpec(
    "fota_spool_limit_bytes", "The most that may wait in the spool: SPOOL_MAX_BYTES."
)
SPOOL_OLDEST = GaugeSpec(
    "fota_spool_oldest_seconds", "Age of the oldest message in this host's spool; 0 if it is empty."
)
SPOOL_SET_ASIDE = GaugeSpec(
    "fota_spool_set_aside_messages",
    "Messages in this host's spool that Redis refused by themselves.",
)
CORRUPT_JOURNALS = GaugeSpec(
    "fota_spool_corrupt_journals",
    "Corrupt journals that were set aside in SPOOL_DIR; there may be messages in them.",
)
REGISTRATION = GaugeSpec(
    "fota_registration_ours",
    "1 if our URL was registered at the registrar's last look, else 0; missing while nobody could look.",
    ("account", "version"),
)
OBSERVED = GaugeSpec(
    "fota_registration_observed_timestamp_seconds",
    "When the registrar looked last.",
    ("account", "version"),
)
TOKEN_AGE = GaugeSpec(
    "fota_registration_token_age_seconds",
    "How old the registrar's OAuth token was at its last look.",
    ("account", "version"),
)
BREAKER = GaugeSpec(
    "fota_login_breaker_open", "1 if refused logins have stopped all further ones, else 0."
)
SCRAPE_GAUGES = (
    BUILD,
    REDIS_UP,
    QUEUE,
    OLDEST,
    LAG,
    PENDING,
    DEAD,
    QUARANTINED,
    SPOOL,
    SPOOL_BYTES,
    SPOOL_LIMIT,
    SPOOL_OLDEST,
    SPOOL_SET_ASIDE,
    CORRUPT_JOURNALS,
    REGISTRATION,
    OBSERVED,
    TOKEN_AGE,
    BREAKER,
)


def create_label_values(kinds: Iterable[str], reasons: Iterable[str]) -> None:
    """Begins the counts of what may come at 0: a rate sees no count that appears out of nowhere."""
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

    on = True


def count(metric: Counter, *labels: str, by: float = 1) -> None:
    """Adds to a counter, if this process counts."""
    if _Recording.on:
        (metric.labels(*labels) if labels else metric).inc(by)


def observe(metric: Histogram, value: float, *labels: str) -> None:
    """Adds a value to a histogram, if this process counts."""
    if _Recording.on:
        (metric.labels(*labels) if labels else metric).observe(value)


def count_lost_lines() -> None:
    """Adds the log lines that this process lost since the last call.

    To be called now and then: a line may get lost in a signal handler, where a counter's lock may be held.
    """
    if lost := stderr.writer().take_lost():
        count(LOST_LINES, by=lost)


def disable() -> None:
    """Counts nothing more in this process."""
    _Recording.on = False
