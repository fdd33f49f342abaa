"""What the registrar counts. Where nobody serves metrics, by hand and standing alone, nothing."""

from listener.registration_state import DRIFT_REASONS, Observation

# Messages that were answered 503, so that ThingSpace may drop them.
LOSING_REASONS = frozenset({"queue-unavailable", "internal-error"})


class Metrics:
    """Counts nothing."""

    def provider_call(self, call: str, result: str, seconds: float) -> None:
        """A call to ThingSpace ended: `ok`, the status of a refusal, or why there was no answer."""

    def reconciled(self, seen: Observation, before: Observation | None) -> None:
        """A tick is over; `before` is the last word on the same slot, whoever had it."""

    def count_lost_lines(self) -> None:
        """Log lines may have been lost since the last call."""

    def refused_messages(self) -> float:
        """How many messages the web workers answered 503 until now."""
        return 0.0


class PrometheusMetrics(Metrics):
    """Counts for the `/metrics` of the listener that this process started."""

    def __init__(self) -> None:
        """Needs the folder of `listener.runtime.multiprocess_dir` to be prepared."""
        # prometheus_client asks when it is imported where this process counts.
        from listener import metrics  # noqa: PLC0415

        self._metrics = metrics

    def provider_call(self, call: str, result: str, seconds: float) -> None:
        """See above."""
        self._metrics.count(self._metrics.PROVIDER_CALLS, call, result)
        self._metrics.observe(self._metrics.PROVIDER_CALL, seconds, call)

    def reconciled(self, seen: Observation, before: Observation | None) -> None:
        """See above."""
        self._metrics.count(self._metrics.TICKS, seen.account, seen.version, seen.result)
        acted = seen.result in {"registered", "yielded"} and seen.reason in DRIFT_REASONS
        drifted = bool(before and before.ours) and acted
        # Also by 0: the alert asks for a rise, and sees none in a count that begins with its first drift.
        self._metrics.count(self._metrics.DRIFT, seen.account, seen.version, by=drifted)

    def count_lost_lines(self) -> None:
        """See above."""
        self._metrics.count_lost_lines()

    def refused_messages(self) -> float:
        """See above."""
        from listener.consumer.monitoring import metric_sums  # noqa: PLC0415 - as above

        samples = (
            sample
            for family in metric_sums.merge_metric_files()
            if family.name == "fota_refusals"
            for sample in family.samples
        )
        reasons = LOSING_REASONS
        return sum(s.value for s in samples if s.labels.get("reason") in reasons)
