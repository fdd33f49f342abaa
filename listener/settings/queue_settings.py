"""Where the queue is: the settings that a consumer shares with the listener. Pure."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from listener.settings import parsers
from listener.settings.env import EnvReader
from listener.settings.secret import Secret

DEFAULT_URL = "redis://localhost:6379/0"


@dataclass(frozen=True)
class Durability:
    """`server`: Redis confirmed the write. `fsync`: it is in the file on disk. `replicas`: on N replicas."""

    mode: str = "server"
    replicas: int = 0

    @classmethod
    def parse(cls, text: str) -> "Durability":
        """Reads the setting.

        Raises:
            ValueError: it is none of the three.
        """
        if text in ("server", "fsync"):
            return cls(text)
        if found := re.fullmatch(r"replicas:([1-9][0-9]?)", text):
            return cls("replicas", int(found[1]))
        raise ValueError("must be `server`, `fsync` or `replicas:N` with N from 1 to 99")

    def __str__(self) -> str:
        """As the setting has it."""
        return f"replicas:{self.replicas}" if self.replicas else self.mode


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
        reader = EnvReader(environ)
        queue = cls(
            redis_url=Secret(reader.parsed("REDIS_URL", DEFAULT_URL, parsers.redis_url)),
            namespace=reader.parsed("QUEUE_NAMESPACE", "fota", parsers.namespace),
            partitions=reader.whole("QUEUE_PARTITIONS", 1, at_least=1, at_most=1024),
        )
        reader.finish()
        return queue
