"""The stores of the login breaker's records: a file of this machine, always, and Redis for all replicas."""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import redis

from listener.runtime.safe_files import create_safely, open_safely
from registrar.coordination.keys import Keys
from registrar.coordination.scripts import script
from registrar.login_breaker.record import UNREADABLE, LoginRecord

FILE_NAME = "login-breaker.json"
# A record has some hundred bytes.
MAX_BYTES = 2**20
# Contention is that of a few replicas at boot.
MAX_CAS_ATTEMPTS = 100

Update = Callable[[LoginRecord, float], LoginRecord]


class RecordStore(Protocol):
    """Stores one record for each digest of credentials. Every method may raise RedisError or OSError."""

    @property
    def place(self) -> str:
        """Where the records are, for people."""

    def read(self) -> LoginRecord:
        """The record as it is. Writes nothing."""

    def update(self, fn: Update) -> LoginRecord:
        """Replaces the record atomically by `fn(record, now_s)`; returns the new record.

        `now_s` is the store's own clock, in seconds since the epoch. `fn` may be called several times.
        """


class RedisStore:
    """The record that all replicas share. Raises redis.RedisError."""

    place = "redis"

    def __init__(self, client: "redis.Redis", keys: Keys, digest: str) -> None:
        self._redis = client
        self._key = keys.breaker
        self._digest = digest
        self._compare_and_set = script(client, "compare_and_set")
        self._now = script(client, "now")

    def read(self) -> LoginRecord:
        """See `RecordStore`."""
        return LoginRecord.from_json(self._redis.hget(self._key, self._digest))

    def update(self, fn: Update) -> LoginRecord:
        """See `RecordStore`."""
        for _ in range(MAX_CAS_ATTEMPTS):
            stored = self._redis.hget(self._key, self._digest)
            seconds, micros = self._now(keys=[self._key])
            old = LoginRecord.from_json(stored)
            new = fn(old, int(seconds) + int(micros) / 1e6)
            if new == old or self._compare_and_set(
                keys=[self._key], args=[self._digest, stored or "", new.to_json()]
            ):
                return new
        raise redis.RedisError("the login breaker's record changes without end")


class FileStore:
    """The record of this machine, which also counts while Redis is away. Only its user may read it. Raises OSError."""

    def __init__(self, folder: Path, digest: str) -> None:
        self._path = folder / FILE_NAME
        self.place = str(self._path)
        self._digest = digest

    def read(self) -> LoginRecord:
        """See `RecordStore`."""
        # Without the lock, because the file is replaced in one step.
        return _record(self._read(), self._digest)

    def update(self, fn: Update) -> LoginRecord:
        """See `RecordStore`. Creates the folder if it is not there."""
        with self._locked():
            records = self._read()
            old = _record(records, self._digest)
            new = fn(old, time.time())
            if new != old:
                self._write({**(records or {}), self._digest: new.to_json()})
            return new

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if not self._path.parent.is_dir():
            # As private as the spool makes it, which may come later.
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _give_to_owner_above(self._path.parent)
        # A file of its own, because the one with the records is replaced.
        opened = open_safely(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT)
        with os.fdopen(opened, "r+b", buffering=0) as lock:
            _give_to_owner_above(lock.fileno(), self._path.parent)
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _read(self) -> dict[str, Any] | None:
        """All records; None: they cannot be read."""
        try:
            with os.fdopen(open_safely(self._path, os.O_RDONLY), "rb") as file:
                records = json.loads(file.read(MAX_BYTES))
        except FileNotFoundError:
            return {}
        except (ValueError, RecursionError):
            return None
        return records if isinstance(records, dict) else None

    def _write(self, records: Mapping[str, Any]) -> None:
        """All or nothing, whenever the process or the machine ends."""
        fresh = self._path.with_suffix(".new")
        with os.fdopen(create_safely(fresh), "wb") as file:
            file.write(json.dumps(records, sort_keys=True).encode())
            file.flush()
            os.fsync(file.fileno())
            _give_to_owner_above(file.fileno(), self._path.parent)
        fresh.replace(self._path)
        _sync_folder(self._path.parent)


def _record(records: Mapping[str, Any] | None, digest: str) -> LoginRecord:
    if records is None:
        return UNREADABLE
    text = records.get(digest)
    return LoginRecord.from_json(text) if text is None or isinstance(text, str) else UNREADABLE


def _give_to_owner_above(target: Path | int, above: Path | None = None) -> None:
    """What root makes by hand belongs to the owner of the folder above, or the service could not use it."""
    if os.geteuid() != 0:
        return
    folder = above or (target.parent if isinstance(target, Path) else Path())
    owner = folder.stat()
    # A path is that of a folder, which somebody may have replaced by a link.
    os.chown(target, owner.st_uid, owner.st_gid, **({} if above else {"follow_symlinks": False}))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
