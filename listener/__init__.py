"""The receiver: accepts ThingSpace's messages and queues them durably, once."""

__version__ = "0.1.0"
