"""Reads the queue: handlers by kind, retries, takeovers, dead letters. See `docs/consumer.md`."""

from listener.consumer.consumer import Consumer
from listener.consumer.handlers.outcomes import HandlerTimeoutError, Reject, Retry
from listener.consumer.handlers.overdue import Overdue
from listener.consumer.messages import ConsumerError, MalformedError, message, typed
from listener.consumer.options import Backoff, Observer
from listener.messages import kinds

# The classes of the messages; a kind that is declared is exported.
from listener.messages.kinds import *  # noqa: F403

__all__ = [
    "Backoff",
    "Consumer",
    "ConsumerError",
    "HandlerTimeoutError",
    "MalformedError",
    "Observer",
    "Overdue",
    "Reject",
    "Retry",
    "message",
    "typed",
]
__all__ += kinds.__all__
