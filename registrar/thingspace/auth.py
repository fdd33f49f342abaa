"""The OAuth token and the session that all calls share: renewed before they expire, and on refusal."""

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from listener.settings.secret import Secret
from registrar.errors import (
    AuthExpiredError,
    RegistrarError,
    StopError,
    TokenKind,
    UnavailableError,
)
from registrar.model import Credentials
from registrar.thingspace import replies, requests
from registrar.thingspace.renewals import Renewals
from registrar.thingspace.transport import Transport
from registrar.turn import UNRESTRICTED, Turn

# A token is renewed so long before it expires, or after nine tenths of a very short life.
EARLY_S = 60.0
# After a login that was not answered the next one waits for so long at the least.
LOGIN_PAUSE_S = 5.0
# After the gateway refused a fresh bearer at the login as well, the next one waits for so long.
BEARER_PAUSE_S = 60.0


@dataclass(frozen=True)
class Pass:
    """What a call shows: the bearer and the session."""

    token: Secret
    session: Secret


class Attempt(Protocol):
    """A login that was entered into the breaker before it was tried."""

    def accepted(self) -> None:
        """The provider took the credentials."""

    def refused(self, *, locked: bool) -> None:
        """The provider refused them, or says that the account is locked."""

    def not_evaluated(self) -> None:
        """The provider did not look at them."""

    def unknown(self) -> None:
        """Nobody knows: they may have been refused."""


class Breaker(Protocol):
    """Decides whether a login may be tried."""

    def reserve(self) -> Attempt:
        """Enters an attempt. Raises StopError or UnavailableError if there must be none now."""


class Tokens:
    """One token and one session for all accounts; several threads may share it.

    Guaranteed: one sign-in at a time, whoever asks, and never a login that the breaker did not
    allow. The token is trusted for `expires_in` less a minute; asking for it again within its hour
    returns the same one [doc], so a refusal before that is expected and costs one renewal. The
    session is used until it is refused [doc].
    """

    def __init__(
        self,
        transport: Transport,
        credentials: Credentials,
        breaker: Breaker,
        clock: Callable[[], float],
    ) -> None:
        """Takes a monotonic clock in seconds."""
        self._transport = transport
        self._credentials = credentials
        self._breaker = breaker
        self._clock = clock
        self._lock = threading.RLock()
        self.renewals = Renewals(clock)
        self._bearer_refused_until = float("-inf")
        self._token: Secret | None = None
        self._token_from = 0.0
        self._token_until = 0.0
        self._session: Secret | None = None

    def current(self, turn: Turn = UNRESTRICTED) -> Pass:
        """A token and a session that are good as far as is known; signs in if need be.

        Args:
            turn: asked before everything that is sent.

        Raises:
            RegistrarError: signing in failed.
        """
        with self._lock:
            if self._session is None:
                self._session = self._log_in(turn)
            return Pass(self._bearer(turn), self._session)

    def discard(self, used: Pass, grants: Collection[TokenKind]) -> None:
        """Forgets what was refused, unless another thread has renewed it meanwhile."""
        with self._lock:
            if "token" in grants and self._token == used.token:
                self._token = None
            if "session" in grants and self._session == used.session:
                self._session = None

    def age_s(self) -> float | None:
        """How long ago the token was asked for, in seconds; None without one."""
        with self._lock:
            return None if self._token is None else self._clock() - self._token_from

    def log_out(self) -> str | None:
        """Ends the session, if there is one; returns what went wrong, and never raises.

        A session that is not ended dies by itself after twenty idle minutes [doc].
        """
        with self._lock:
            session, self._session = self._session, None
            if session is None:
                return None
            try:
                headers = requests.token_auth(self._bearer(UNRESTRICTED), session)
                reply = self._transport.send(requests.logout(), headers)
            except RegistrarError as error:
                return str(error)
            return None if reply.ok else f"HTTP {reply.status}"

    def _bearer(self, turn: Turn) -> Secret:
        if self._token is None or self._clock() >= self._token_until:
            turn.check()
            asked = self._clock()
            headers = requests.basic_auth(self._credentials)
            token = replies.read_token(self._transport.send(requests.token(), headers))
            self._token, self._token_from = token.value, asked
            self._token_until = asked + max(token.expires_in_s - EARLY_S, token.expires_in_s * 0.9)
        return self._token

    def _log_in(self, turn: Turn) -> Secret:
        if (left_s := self._bearer_refused_until - self._clock()) > 0:
            raise UnavailableError(
                "token-refused", "refused at the login", retry_after_s=left_s, sent=False
            )
        try:
            return self._try_login(self._bearer(turn), turn)
        except AuthExpiredError:
            self._token = None
        try:
            return self._try_login(self._bearer(turn), turn)
        except AuthExpiredError:
            # Nothing of it counts as a login, so the breaker does not pace it.
            self._bearer_refused_until = self._clock() + BEARER_PAUSE_S
            raise

    def _try_login(self, bearer: Secret, turn: Turn) -> Secret:
        turn.check()
        attempt = self._breaker.reserve()
        try:
            reply = self._transport.send(
                requests.login(self._credentials), requests.token_auth(bearer)
            )
            session = replies.read_session(reply)
        except StopError as error:
            attempt.refused(locked=error.reason == "account-locked")
            raise
        except AuthExpiredError:
            # The gateway refused the bearer: the login behind it was never reached.
            attempt.not_evaluated()
            raise
        except UnavailableError as error:
            if error.http_status is None and not error.sent:
                attempt.not_evaluated()
                raise
            attempt.unknown()
            raise _unanswered(error) from error
        except RegistrarError:
            attempt.unknown()
            raise
        attempt.accepted()
        return session


def _unanswered(error: UnavailableError) -> UnavailableError:
    """The error of a login that may have been refused: the next one must not follow at once."""
    return UnavailableError(
        "login-unanswered",
        error.detail,
        retry_after_s=max(LOGIN_PAUSE_S, error.retry_after_s or 0.0),
        sent=True,
        http_status=error.http_status,
    )
