"""The login breaker: allows or forbids a login, and counts it first, in Redis and in a file."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import redis
import structlog

from listener.settings.secret import derive_key
from registrar.errors import StopError, UnavailableError
from registrar.login_breaker.record import LoginOutcome, LoginRecord
from registrar.login_breaker.stores import RecordStore, Update
from registrar.model import Credentials

log = structlog.get_logger("registrar")


@dataclass(frozen=True)
class Reservation:
    """A login that counts already; its caller reports the outcome."""

    attempt: str
    resolve: Callable[[str, LoginOutcome], None]

    def accepted(self) -> None:
        """ThingSpace accepted the credentials."""
        self.resolve(self.attempt, "accepted")

    def refused(self, *, locked: bool) -> None:
        """ThingSpace refused them, or reports that the account is locked."""
        self.resolve(self.attempt, "locked" if locked else "refused")

    def not_evaluated(self) -> None:
        """ThingSpace did not evaluate them."""
        self.resolve(self.attempt, "not-evaluated")

    def unknown(self) -> None:
        """No reply says what became of them: they may have been refused."""
        self.resolve(self.attempt, "unanswered")


class LoginBreaker:
    """Allows a login only if every reachable store does; the rules are those of `LoginRecord`.

    Guaranteed: with one Redis, or on one machine without it, at most two refused logins with the same
    credentials, whatever restarts. Not guaranteed: several machines without Redis have two refused
    logins each.
    """

    def __init__(self, stores: Sequence[RecordStore]) -> None:
        self._stores = stores
        self._failing: dict[RecordStore, str] = {}

    def reserve(self) -> Reservation:
        """Counts an attempt that is about to be made.

        Raises:
            StopError: the breaker is open until an operator unlocks it.
            UnavailableError: not now, or no store can be written: then a login is too dangerous.
        """
        self._synchronise()
        attempt = secrets.token_hex(8)
        try:
            written = self._update_all(
                lambda r, now_s: r.reserve(attempt, now_s), proves_write=True
            )
        except (UnavailableError, StopError):
            self._resolve(attempt, "not-evaluated")
            raise
        if not written:
            raise self._unwritable()
        return Reservation(attempt, self._resolve)

    def unlock(self) -> LoginRecord:
        """Allows one more login; returns the record, whose `failed` says how many have failed.

        Raises:
            UnavailableError: no store can be written.
        """
        self._synchronise()
        generation = self.read().generation + 1
        records = self._update_all(lambda r, _: r.unlock(generation))
        if not records:
            raise self._unwritable()
        return max(records, key=lambda r: r.failed)

    def read(self) -> LoginRecord:
        """The record that is right: of the latest generation, then with the most possible failures."""
        records = self._call_all(lambda store: store.read())
        return max(records, key=lambda r: (r.generation, r.possibly_failed), default=LoginRecord())

    def _synchronise(self) -> None:
        latest = self.read()
        self._update_all(lambda r, _: latest if r.generation < latest.generation else r)

    def _resolve(self, attempt: str, outcome: LoginOutcome) -> None:
        self._update_all(lambda r, _: r.resolve(attempt, outcome))

    def _update_all(self, fn: Update, *, proves_write: bool = False) -> list[LoginRecord]:
        """The new record of each reachable store; `proves_write`: `fn` changes the record in any case."""
        return self._call_all(lambda store: store.update(fn), proves_write=proves_write)

    def _call_all(
        self, call: Callable[[RecordStore], LoginRecord], *, proves_write: bool = False
    ) -> list[LoginRecord]:
        records = []
        for store in self._stores:
            try:
                records.append(call(store))
            except (redis.RedisError, OSError) as error:
                self._warn_once(store, error)
            else:
                if proves_write:
                    self._failing.pop(store, None)
        return records

    def _warn_once(self, store: RecordStore, error: Exception) -> None:
        """Logs each cause of a store's failure once: a login uses a store several times."""
        cause = getattr(error, "strerror", None) or type(error).__name__
        if self._failing.get(store) != cause:
            log.warning("login breaker not kept", where=store.place, why=cause)
        self._failing[store] = cause

    def _unwritable(self) -> UnavailableError:
        causes = "; ".join(f"{store.place}: {cause}" for store, cause in self._failing.items())
        return UnavailableError(
            "breaker-unwritable", f"logins cannot be counted: {causes}", sent=False
        )


def digest_of(credentials: Credentials) -> str:
    """A name for credentials that does not reveal them: slow to guess, and salted with the username."""
    salt = b"fota-login\0" + credentials.username.reveal().encode()
    return derive_key(credentials.password.reveal().encode(), salt=salt, length=16).hex()
