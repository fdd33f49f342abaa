"""QueueSettings: URL, namespace, partitions and durability, which the consumer and the command line read alone."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from listener.settings import parsers
from listener.settings.env import EnvReader, read_environ
from listener.settings.redis_url import RedisUrl
from listener.settings.secret import Secret

DEFAULT_URL = "redis://localhost:6379/0"
DEFAULT_NAMESPACE = "fota"


@dataclass(frozen=True)
class Durability:
    """When a message is kept. `server`: Redis confirmed it; `fsync`: it is on disk; `replicas`: on N replicas."""

    mode: str = "server"
    replicas: int = 0

    @classmethod
    def parse(cls, text: str) -> "Durability":
        """Parses QUEUE_DURABILITY.

        Raises:
            ValueError: it is none of the three.
        """
        if text in ("server", "fsync"):
            return cls(text)
        if match := re.fullmatch(r"replicas:([1-9][0-9]?)", text):
            return cls("replicas", int(match[1]))
        raise ValueError("must be `server`, `fsync` or `replicas:N` with N from 1 to 99")

    def __str__(self) -> str:
        """As QUEUE_DURABILITY writes it."""
        return f"replicas:{self.replicas}" if self.replicas else self.mode


@dataclass(frozen=True, kw_only=True)
class QueueSettings:
    """Where the queue is.

    Attributes:
        url: REDIS_URL.
        namespace: the first part of every key.
        partitions: how many there are.
        durability: what a write waits for.
    """

    url: Secret
    namespace: str = DEFAULT_NAMESPACE
    partitions: int = 1
    durability: Durability = Durability()

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> "QueueSettings":
        """Reads REDIS_URL, QUEUE_NAMESPACE and QUEUE_PARTITIONS alone: a reader of the queue needs no more.

        Raises:
            SettingsError: with every problem.
        """
        return read_environ(environ, cls._read_address)

    @classmethod
    def read(cls, env: EnvReader) -> "QueueSettings":
        """Reads all four variables; the caller seals `env`, which reports the problems."""
        durability = env.parsed("QUEUE_DURABILITY", Durability(), parse=Durability.parse)
        return replace(cls._read_address(env), durability=durability)

    @classmethod
    def _read_address(cls, env: EnvReader) -> "QueueSettings":
        return cls(
            url=env.secret("REDIS_URL", Secret(DEFAULT_URL), parse=parsers.redis_url),
            namespace=env.parsed("QUEUE_NAMESPACE", DEFAULT_NAMESPACE, parse=parsers.namespace),
            partitions=env.parsed("QUEUE_PARTITIONS", 1, parse=parsers.integer(1, 1024)),
        )

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The URL and every password in it, so that logs and errors can be kept free of them."""
        passwords = RedisUrl.parse(self.url.reveal()).secrets
        return (self.url, *(Secret(password) for password in passwords))
