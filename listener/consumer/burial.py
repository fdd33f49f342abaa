"""What a dead letter has beyond the fields of its message: a contract, see `docs/queue.md`. Pure."""

from datetime import datetime

from listener.consumer.delivery import Delivery, Verdict
from listener.times import timestamp

ERROR_BYTES = 1024
TRACEBACK_BYTES = 16 * 1024


def fields(
    delivery: Delivery, verdict: Verdict, consumer: str, now: datetime
) -> dict[str, str | bytes]:
    """The fields that are added; `consumer` is the one that gives up."""
    return {
        "reason": verdict.reason,
        "error": _head(" ".join(verdict.error.splitlines()), ERROR_BYTES),
        "traceback": _tail(verdict.traceback, TRACEBACK_BYTES),
        "deliveries": str(delivery.recorded),
        "entry": delivery.entry_id,
        "consumer": consumer,
        "failed": timestamp(now),
    }


def _head(text: str, size: int) -> bytes:
    return _cut(text.encode(errors="backslashreplace")[:size])


def _tail(text: str, size: int) -> bytes:
    # The end of a traceback says where it happened.
    return _cut(text.encode(errors="backslashreplace")[-size:])


def _cut(data: bytes) -> bytes:
    """Without the halves of letters at either end."""
    return data.decode(errors="ignore").encode()
