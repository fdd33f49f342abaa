"""Where the queue is: the settings that a consumer shares with the listener. Pure."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from listener import forms
from listener.environment import Reader
from listener.secret import Secret

DEFAULT_URL = "redis://localhost:6379/0"


@dataclass(frozen=True, kw_only=True)
class Queue:
    """The Redis, the first part of every key, and how many partitions there are."""

    redis_url: Secret
    namespace: str
    partitions: int

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> "Queue":
        """Reads REDIS_URL, QUEUE_NAMESPACE and QUEUE_PARTITIONS, and nothing else.

        Raises:
            SettingsError: with every problem.
        """
        reader = Reader(environ)
        queue = cls(
            redis_url=Secret(reader.parsed("REDIS_URL", DEFAULT_URL, forms.redis_url)),
            namespace=reader.parsed("QUEUE_NAMESPACE", "fota", forms.namespace),
            partitions=reader.whole("QUEUE_PARTITIONS", 1, at_least=1, at_most=1024),
        )
        reader.finish()
        return queue
