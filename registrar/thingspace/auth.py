"""The OAuth token and the session that all calls share: obtained, renewed, invalidated, logged out."""

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass

from listener.settings.secret import Secret
from registrar.errors import (
    AuthExpiredError,
    RegistrarError,
    StopError,
    TokenKind,
    UnavailableError,
)
from registrar.login_breaker.breaker import LoginBreaker
from registrar.model import Credentials
from registrar.thingspace import replies, requests
from registrar.thingspace.renewals import Renewals
from registrar.thingspace.transport import Transport
from registrar.turn import UNRESTRICTED, Turn

# A token is renewed this long before it expires, or after nine tenths of a very short life.
RENEW_EARLY_S = 60.0
# The shortest wait after a login that was not answered.
LOGIN_PAUSE_S = 5.0
# The wait after the gateway refused a fresh bearer at the login as well.
BEARER_PAUSE_S = 60.0


@dataclass(frozen=True)
class SessionTokens:
    """The bearer and the session that a call shows."""

    token: Secret
    session: Secret


class Authenticator:
    """One token and one session for all accounts; several threads may share it.

    Guaranteed: one login at a time, whichever thread needs it, and none that the breaker did not
    allow. The token is trusted for `expires_in` less a minute; asking for it again within its hour
    returns the same one [doc], so a refusal before that is expected and costs one renewal. The
    session is used until it is refused [doc].

    Args:
        transport: sends.
        credentials: of the application and its user.
        breaker: counts the logins.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        transport: Transport,
        credentials: Credentials,
        breaker: LoginBreaker,
        clock: Callable[[], float],
    ) -> None:
        self._transport = transport
        self._credentials = credentials
        self._breaker = breaker
        self._clock = clock
        self._lock = threading.Lock()
        self.renewals = Renewals(clock)
        self._bearer_refused_until = float("-inf")
        self._token: Secret | None = None
        self._token_from = 0.0
        self._token_until = 0.0
        self._session: Secret | None = None

    def tokens(self, turn: Turn = UNRESTRICTED) -> SessionTokens:
        """A token and a session that are good as far as is known; logs in if need be.

        Args:
            turn: asked before everything that is sent.

        Raises:
            RegistrarError: the login failed.
        """
        with self._lock:
            if self._session is None:
                self._session = self._log_in(turn)
            return SessionTokens(self._bearer(turn), self._session)

    def invalidate(self, used: SessionTokens, stale: Collection[TokenKind]) -> None:
        """Forgets what was refused, unless another thread has renewed it meanwhile."""
        with self._lock:
            if "token" in stale and self._token == used.token:
                self._token = None
            if "session" in stale and self._session == used.session:
                self._session = None

    def token_age_s(self) -> float | None:
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
            life_s = token.expires_in_s
            self._token, self._token_from = token.value, asked
            self._token_until = asked + max(life_s - RENEW_EARLY_S, life_s * 0.9)
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
            # Such logins are not evaluated, so the breaker does not pace them.
            self._bearer_refused_until = self._clock() + BEARER_PAUSE_S
            raise

    def _try_login(self, bearer: Secret, turn: Turn) -> Secret:
        turn.check()
        attempt = self._breaker.reserve()
        try:
            headers = requests.token_auth(bearer)
            reply = self._transport.send(requests.login(self._credentials), headers)
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
