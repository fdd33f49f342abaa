"""Reads the observations that the registrar stores in Redis: the last one of each account and API version."""

from typing import Any

import redis

from listener.queue.keys import observations
from listener.registration_state import Observation


def read_registrations(client: "redis.Redis", namespace: str) -> list[Observation]:
    """The last observation of every slot, by account and version. Raises redis.RedisError."""
    stored: Any = client.hgetall(observations(namespace))
    return [
        Observation.from_json(key, text) or Observation.unreadable(key)
        for key, text in sorted(stored.items())
    ]
