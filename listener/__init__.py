"""The receiver: accepts ThingSpace's messages and queues them durably, once."""
