"""What the registrar counts. Where nobody serves metrics, by hand and standing alone, nothing."""

from listener.registration_state import Observation

# What others did to the registration. A roll-out, a rotated token and a new password are our own doing.
DRIFT_REASONS = frozenset({"absent", "takeover", "another-owner", "flapping"})


class Metrics:
    """Counts nothing."""

    def provider_call(self, call: str, result: str, seconds: float) -> None:
        """A call to ThingSpace ended: `ok`, the status of a refusal, or why there was no answer."""

    def reconciled(self, seen: Observation, before: Observation | None) -> None:
        """A tick is over; `before` is the last word on the same slot, whoever had it."""

    def count_lost_lines(self) -> None:
        """Log lines may have been lost since the last call."""


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
