"""Where the login breaker's records are kept: in Redis for all replicas, and in a file without it."""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

import redis

from registrar.keys import Keys
from registrar.scripts import script
from registrar.strikes import Strikes

FILE_NAME = "login-breaker.json"
# Contention is that of a few replicas at boot.
CAS_ATTEMPTS = 100

Change = Callable[[Strikes, float], Strikes]


class Store(Protocol):
    """Holds one record for each credentials; `change` is atomic. Raises RedisError or OSError."""

    def change(self, make: Change) -> Strikes:
        """Replaces the record by what `make` makes of it and the store's time; returns the new one."""


class RedisStore:
    """The record that all replicas share."""

    def __init__(self, client: "redis.Redis", keys: Keys, digest: str) -> None:
        """Takes the digest of the credentials."""
        self._redis = client
        self._key = keys.breaker
        self._digest = digest
        self._cas = script(client, "cas")
        self._now = script(client, "now")

    def change(self, make: Change) -> Strikes:
        """See `Store`. Raises redis.RedisError."""
        for _ in range(CAS_ATTEMPTS):
            read = self._redis.hget(self._key, self._digest)
            seconds, micros = self._now(keys=[self._key])
            old = Strikes.from_json(read)
            new = make(old, int(seconds) + int(micros) / 1e6)
            if new == old or self._cas(
                keys=[self._key], args=[self._digest, read or "", new.to_json()]
            ):
                return new
        raise redis.RedisError("the login breaker's record changes without end")


class FileStore:
    """The record of this machine, for when there is no Redis. Only its user may read it."""

    def __init__(self, folder: Path, digest: str) -> None:
        """Takes the folder, which is made if need be."""
        self._path = folder / FILE_NAME
        self._digest = digest

    def change(self, make: Change) -> Strikes:
        """See `Store`. Raises OSError."""
        with self._locked() as file:
            records = _records(file.read())
            old = Strikes.from_json(records.get(self._digest))
            new = make(old, time.time())
            if new == old:
                return new
            text = json.dumps({**records, self._digest: new.to_json()}, sort_keys=True).encode()
            # In place and in one write: a process that is killed leaves the old or the new.
            file.seek(0)
            file.write(text)
            file.truncate()
            os.fsync(file.fileno())
            return new

    @contextmanager
    def _locked(self) -> Iterator[IO[bytes]]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file


def _records(text: bytes) -> dict[str, Any]:
    try:
        records = json.loads(text) if text else {}
    except ValueError:
        records = {}
    return records if isinstance(records, dict) else {}
