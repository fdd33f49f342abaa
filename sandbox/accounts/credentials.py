"""The application's token, the user's sessions, and the lock on the account: pure state."""

import hmac
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass

from sandbox import replies
from sandbox.replies import ApiError
from sandbox.settings import Settings


@dataclass(frozen=True)
class Token:
    value: str
    expires_at: float


class Credentials:
    """Issues and checks tokens and sessions. Every method is atomic and may be called by threads.

    Args:
        settings: the right credentials, and the spans.
        clock: the time, in seconds since the epoch.
        new_secret: makes a token's text.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float],
        new_secret: Callable[[], str] = secrets.token_hex,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._new_secret = new_secret
        self._mutex = threading.Lock()
        self._token: Token | None = None
        self._last_use: dict[str, float] = {}
        self._failed_logins = 0

    def issue_token(self, key: str, secret: str) -> tuple[str, int]:
        """The token and the whole seconds that it still lives: the same one within its life. [doc]

        Raises:
            ApiError: key or secret is wrong.
        """
        if not _equal((key, secret), (self._settings.key, self._settings.secret)):
            raise ApiError(replies.INVALID_CLIENT)
        with self._mutex:
            now = self._clock()
            if self._token is None or self._token.expires_at <= now:
                self._token = Token(self._new_secret(), now + self._settings.token_life_s)
            return self._token.value, int(self._token.expires_at - now)

    def check_token(self, value: str | None) -> None:
        """Accepts the present token.

        Raises:
            ApiError: there is none, or it is wrong or expired.
        """
        if not value:
            raise ApiError(replies.MISSING_BEARER)
        with self._mutex:
            token = self._token
        if token is None or token.expires_at <= self._clock() or not _equal(value, token.value):
            raise ApiError(replies.INVALID_BEARER)

    def log_in(self, username: str, password: str) -> str:
        """A new session's token; the sessions before it live on [?].

        Any wrong name or password counts towards the lock, of which the pages say once that it is
        the account's and once that it is the user's. [doc]

        Raises:
            ApiError: name or password is wrong, or the account is locked.
        """
        right = (self._settings.username, self._settings.password)
        with self._mutex:
            if self._failed_logins >= self._settings.lock_after:
                raise ApiError(replies.LOCKED)
            if not _equal((username, password), right):
                self._failed_logins += 1
                raise ApiError(replies.wrong_password(self._settings.refused_login))
            self._failed_logins = 0
            session = self._new_secret()
            self._last_use[session] = self._clock()
            return session

    def check_session(self, session: str | None) -> None:
        """Accepts a live session and lets its idle time begin anew.

        Raises:
            ApiError: there is none, it is unknown, or it was idle for too long.
        """
        with self._mutex:
            now = self._clock()
            last_use = self._last_use.get(session or "")
            if last_use is None:
                raise ApiError(self._dead_session(replies.SESSION_INVALID))
            if now - last_use >= self._settings.session_idle_s:
                raise ApiError(self._dead_session(replies.SESSION_EXPIRED))
            self._last_use[session or ""] = now

    def log_out(self, session: str) -> None:
        """Forgets the session: using it later is answered as if it had never been [?]."""
        with self._mutex:
            self._last_use.pop(session, None)

    def expire_token(self) -> None:
        """Makes the token worthless before its time, as the provider may."""
        with self._mutex:
            self._token = None

    def expire_session(self, session: str | None) -> None:
        """Makes a session look idle for too long."""
        with self._mutex:
            if session in self._last_use:
                self._last_use[session] = float("-inf")

    def unlock(self) -> None:
        """What Verizon Support does."""
        with self._mutex:
            self._failed_logins = 0

    def summary(self) -> dict[str, int | bool]:
        """The state of the account, without secrets."""
        with self._mutex:
            horizon = self._clock() - self._settings.session_idle_s
            return {
                "locked": self._failed_logins >= self._settings.lock_after,
                "failed_logins": self._failed_logins,
                "live_sessions": sum(used > horizon for used in self._last_use.values()),
            }

    def _dead_session(self, by_cause: replies.Reply) -> replies.Reply:
        chosen = self._settings.dead_session
        return by_cause if chosen == "by-cause" else replies.SHAPES[chosen]


def _equal(given: str | tuple[str, ...], right: str | tuple[str, ...]) -> bool:
    # Constant time: not needed here, but a stand-in should not teach the wrong habit.
    return hmac.compare_digest(repr(given).encode(), repr(right).encode())
