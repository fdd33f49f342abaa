"""Reads the queue: handlers by kind, retries, takeovers, dead letters. See `docs/consumer.md`."""

from listener.consumer.backoff import Backoff
from listener.consumer.consumer import Consumer
from listener.consumer.entries import message, typed
from listener.consumer.errors import ConsumerError, MalformedError
from listener.consumer.messages import (
    Device,
    Firmware,
    FirmwareAvailable,
    Message,
    Unknown,
    UpgradeFinished,
    UpgradeScheduled,
    UpgradeStarted,
)
from listener.consumer.observer import Observer

__all__ = [
    "Backoff",
    "Consumer",
    "ConsumerError",
    "Device",
    "Firmware",
    "FirmwareAvailable",
    "MalformedError",
    "Message",
    "Observer",
    "Unknown",
    "UpgradeFinished",
    "UpgradeScheduled",
    "UpgradeStarted",
    "message",
    "typed",
]
