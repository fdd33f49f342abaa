"""The registered URL of each account and version, and the history of its changes: pure state."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from sandbox.provider_facts import VERSIONS, Version

Cause: TypeAlias = Literal["POST", "PUT", "DELETE", "outside"]
_Key: TypeAlias = tuple[Version, str]
_LOGIN = re.compile(r"(?<=//)[^/?#]*@")


@dataclass(frozen=True)
class Login:
    """What v1 puts into each message: the registered name and password. [doc]"""

    username: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Registration:
    url: str
    login: Login = Login()


@dataclass(frozen=True)
class _CredentialsInMessages:
    """The login that v1 messages carry, and the previous one that they carry until `older_until`."""

    login: Login
    older: Login
    older_until: float

    def at(self, now: float) -> Login:
        return self.older if now < self.older_until else self.login


class Registrations:
    """Independent slots for each version and account [?]; writing replaces, never adds. [doc]

    Every method is atomic and may be called by threads. The history keeps every change for the
    life of the process: tests need all of it, and an entry is small.

    Args:
        clock: the time, in seconds since the epoch.
        rotation_lag_s: how long after a new password was registered messages carry the old one.
    """

    def __init__(self, *, clock: Callable[[], float], rotation_lag_s: float = 0.0) -> None:
        self._clock = clock
        self._rotation_lag_s = rotation_lag_s
        self._mutex = threading.Lock()
        self._current: dict[_Key, Registration] = {}
        self._in_messages: dict[_Key, _CredentialsInMessages] = {}
        self._history: list[dict[str, Any]] = []

    def get(self, version: Version, account: str) -> Registration | None:
        with self._mutex:
            return self._current.get((version, account))

    def put(self, version: Version, account: str, registration: Registration, cause: Cause) -> None:
        """Registers, in place of whatever was registered."""
        with self._mutex:
            now = self._clock()
            key = version, account
            if (sent := self._in_messages.get(key)) is None:
                self._in_messages[key] = _CredentialsInMessages(
                    registration.login, registration.login, now
                )
            elif sent.login != registration.login:
                until = now + self._rotation_lag_s
                self._in_messages[key] = _CredentialsInMessages(
                    registration.login, sent.at(now), until
                )
            self._current[key] = registration
            self._record(now, key, registration.url, cause)

    def remove(self, version: Version, account: str, cause: Cause) -> bool:
        """Removes the registration, also another owner's. Returns whether there was one."""
        with self._mutex:
            key = version, account
            removed = self._current.pop(key, None) is not None
            if removed:
                self._record(self._clock(), key, None, cause)
            return removed

    def target(self, account: str, version: Version | None) -> tuple[Version, Registration] | None:
        """Where a message goes, with the login that it carries now.

        Args:
            account: the message's account.
            version: of the API; None: the first that has a registration.
        """
        with self._mutex:
            for candidate in (version,) if version else VERSIONS:
                key = candidate, account
                if found := self._current.get(key):
                    login = self._in_messages[key].at(self._clock())
                    return candidate, Registration(found.url, login)
            return None

    def listing(self) -> dict[str, list[dict[str, Any]]]:
        """All present registrations and all changes, without logins."""
        with self._mutex:
            present = [
                {"version": version, "account": account, "url": without_login(found.url)}
                for (version, account), found in sorted(self._current.items())
            ]
            return {"registrations": present, "history": list(self._history)}

    def _record(self, now: float, key: _Key, url: str | None, cause: Cause) -> None:
        version, account = key
        public_url = without_login(url) if url else None
        change = {"account": account, "version": version, "url": public_url, "cause": cause}
        self._history.append({"time": now, **change})


def without_login(url: str) -> str:
    """The URL less a `user:password@` in it, also where it is no proper URL."""
    return _LOGIN.sub("", url)
