"""Reads what the registrar stores in Redis: its last observation of each account and API version, and its last sweeps."""

from typing import Any

import redis

from listener.queue.keys import observations, recovery
from listener.recovered.recovery_state import RecoveryState
from listener.registration_state import Observation


def read_registrations(client: "redis.Redis", namespace: str) -> list[Observation]:
    """The last observation of every slot, by account and version. Raises redis.RedisError."""
    stored: Any = client.hgetall(observations(namespace))
    return [
        Observation.from_json(key, text) or Observation.unreadable(key)
        for key, text in sorted(stored.items())
    ]


def read_recovery(client: "redis.Redis", namespace: str) -> RecoveryState | None:
    """What the sweeps of the recovery found last; None: there was none, or it cannot be read. Raises redis.RedisError."""
    stored: Any = client.get(recovery(namespace))
    return RecoveryState.from_json(stored) if stored else None
