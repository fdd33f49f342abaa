"""The login breaker: counts logins before they are tried, in Redis and in a file."""

import fcntl
import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar

import redis
import structlog

from registrar import strikes
from registrar.errors import StopError, UnavailableError
from registrar.keys import Keys
from registrar.scripts import script
from registrar.signin import Credentials
from registrar.strikes import Outcome, Strikes

log = structlog.get_logger("registrar")

FILE_NAME = "login-breaker.json"
# Contention is that of a few replicas at boot.
CAS_ATTEMPTS = 100

Change = Callable[[Strikes, float], Strikes]
T = TypeVar("T")


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

    def change(self, make: Change) -> Strikes:
        """See `Store`. Raises redis.RedisError."""
        for _ in range(CAS_ATTEMPTS):
            read = self._redis.hget(self._key, self._digest)
            seconds, micros = self._redis.time()
            old = Strikes.from_json(read)
            new = make(old, seconds + micros / 1e6)
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


@dataclass(frozen=True)
class Reservation:
    """A login that counts already; tell it what became of it."""

    name: str
    resolve: Callable[[str, Outcome], None]

    def accepted(self) -> None:
        """See `tokens.Attempt`."""
        self.resolve(self.name, "accepted")

    def refused(self, *, locked: bool) -> None:
        """See `tokens.Attempt`."""
        self.resolve(self.name, "locked" if locked else "refused")

    def not_evaluated(self) -> None:
        """See `tokens.Attempt`."""
        self.resolve(self.name, "not-evaluated")

    def unknown(self) -> None:
        """See `tokens.Attempt`."""
        self.resolve(self.name, "unknown")


class LoginBreaker:
    """Allows a login only if every store that can be reached does; the rules are in `strikes`.

    Guaranteed: with one Redis, or on one machine without it, not more than two refused logins with
    the same credentials, whatever restarts. Not guaranteed: on several machines without Redis, each
    machine has its own two.
    """

    def __init__(self, stores: Sequence[Store]) -> None:
        """Takes the stores; one may fail, and the other then decides."""
        self._stores = stores

    def reserve(self) -> Reservation:
        """Enters an attempt.

        Raises:
            StopError: the breaker is open, for people to close.
            UnavailableError: not now, or no store can be written: then a login is too dangerous.
        """
        self._agree()
        name = secrets.token_hex(8)
        try:
            entered = self._everywhere(lambda s, now: strikes.reserved(s, name, now))
        except (UnavailableError, StopError):
            self._resolve(name, "not-evaluated")
            raise
        if not entered:
            raise UnavailableError(
                "breaker-unwritable", "neither Redis nor a file can count logins", sent=False
            )
        return Reservation(name, self._resolve)

    def unlock(self) -> None:
        """Lets logins be tried again.

        Raises:
            UnavailableError: no store can be written.
        """
        latest = self.read().generation + 1
        if not self._everywhere(lambda s, _: strikes.cleared(s, latest)):
            raise UnavailableError("breaker-unwritable", "neither Redis nor a file", sent=False)

    def read(self) -> Strikes:
        """The record that prevails: of the latest generation, then with the most doubt."""
        found = self._everywhere(lambda s, _: s)
        return max(found, key=lambda s: (s.generation, s.doubtful), default=Strikes())

    def _agree(self) -> None:
        latest = self.read()
        self._everywhere(lambda s, _: latest if s.generation < latest.generation else s)

    def _resolve(self, name: str, outcome: Outcome) -> None:
        self._everywhere(lambda s, _: strikes.resolved(s, name, outcome))

    def _everywhere(self, make: Change) -> list[Strikes]:
        found = []
        for store in self._stores:
            try:
                found.append(store.change(make))
            except (redis.RedisError, OSError) as error:
                log.warning(
                    "login breaker not kept", where=type(store).__name__, why=type(error).__name__
                )
        return found


def digest_of(credentials: Credentials) -> str:
    """Names credentials without telling them: slow to guess, and salted with the username."""
    return hashlib.scrypt(
        credentials.password.reveal().encode(),
        salt=b"fota-login\0" + credentials.username.reveal().encode(),
        n=2**14,
        r=8,
        p=1,
        dklen=16,
    ).hex()


def _records(text: bytes) -> dict[str, Any]:
    try:
        records = json.loads(text) if text else {}
    except ValueError:
        records = {}
    return records if isinstance(records, dict) else {}
