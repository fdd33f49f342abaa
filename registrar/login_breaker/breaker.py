"""The login breaker: counts logins before they are tried, in Redis and in a file."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import redis
import structlog

from listener.settings.secret import derive_key
from registrar.errors import StopError, UnavailableError
from registrar.login_breaker import record
from registrar.login_breaker.record import Outcome, Strikes
from registrar.login_breaker.stores import Change, RecordStore
from registrar.model import Credentials

log = structlog.get_logger("registrar")


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

    def __init__(self, stores: Sequence[RecordStore]) -> None:
        """Takes the stores; one may fail, and the other then decides."""
        self._stores = stores
        self._failing: dict[RecordStore, str] = {}

    def reserve(self) -> Reservation:
        """Enters an attempt.

        Raises:
            StopError: the breaker is open, for people to close.
            UnavailableError: not now, or no store can be written: then a login is too dangerous.
        """
        self._agree()
        name = secrets.token_hex(8)
        try:
            entered = self._everywhere(lambda s, now: record.reserved(s, name, now), writes=True)
        except (UnavailableError, StopError):
            self._resolve(name, "not-evaluated")
            raise
        if not entered:
            raise self._unwritable()
        return Reservation(name, self._resolve)

    def unlock(self) -> Strikes:
        """Lets one more login be tried; returns the record, which tells how many have failed.

        Raises:
            UnavailableError: no store can be written.
        """
        self._agree()
        generation = self.read().generation + 1
        found = self._everywhere(lambda s, _: record.unlocked(s, generation))
        if not found:
            raise self._unwritable()
        return max(found, key=lambda s: s.failed)

    def read(self) -> Strikes:
        """The record that prevails: of the latest generation, then with the most doubt."""
        found = self._in_each(lambda store: store.read())
        return max(found, key=lambda s: (s.generation, s.doubtful), default=Strikes())

    def _agree(self) -> None:
        latest = self.read()
        self._everywhere(lambda s, _: latest if s.generation < latest.generation else s)

    def _resolve(self, name: str, outcome: Outcome) -> None:
        self._everywhere(lambda s, _: record.resolved(s, name, outcome))

    def _everywhere(self, make: Change, *, writes: bool = False) -> list[Strikes]:
        """What each store holds afterwards; `writes`: success proves that a store can be written."""
        return self._in_each(lambda store: store.change(make), writes=writes)

    def _in_each(
        self, act: Callable[[RecordStore], Strikes], *, writes: bool = False
    ) -> list[Strikes]:
        found = []
        for store in self._stores:
            try:
                found.append(act(store))
            except (redis.RedisError, OSError) as error:
                self._tell(store, error)
            else:
                if writes:
                    self._failing.pop(store, None)
        return found

    def _tell(self, store: RecordStore, error: Exception) -> None:
        """Logs a failure once for each cause: a login asks several times."""
        why = getattr(error, "strerror", None) or type(error).__name__
        if self._failing.get(store) != why:
            log.warning("login breaker not kept", where=store.place, why=why)
        self._failing[store] = why

    def _unwritable(self) -> UnavailableError:
        causes = "; ".join(f"{store.place}: {why}" for store, why in self._failing.items())
        return UnavailableError(
            "breaker-unwritable", f"logins cannot be counted: {causes}", sent=False
        )


def digest_of(credentials: Credentials) -> str:
    """Names credentials without telling them: slow to guess, and salted with the username."""
    salt = b"fota-login\0" + credentials.username.reveal().encode()
    return derive_key(credentials.password.reveal().encode(), salt=salt, length=16).hex()
