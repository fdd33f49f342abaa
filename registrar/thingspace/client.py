"""The client of the provider's callback API: query, register, deregister, for any account and version."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeVar

import structlog

from listener.settings.secret import Secret
from listener.settings.spool_settings import DEFAULT_FOLDER
from registrar.errors import (
    LOCAL_CAUSES,
    AuthExpiredError,
    RejectedError,
    TokenKind,
    UnavailableError,
)
from registrar.http.reply import Reply
from registrar.login_breaker.breaker import LoginBreaker, digest_of
from registrar.login_breaker.stores import FileStore
from registrar.model import Credentials, Registration, ServiceName, Slot
from registrar.settings import Timing, parse_base_url
from registrar.thingspace import requests
from registrar.thingspace.auth import Authenticator
from registrar.thingspace.replies import (
    NotRegisteredError,
    read_callbacks,
    read_deregistration_result,
    read_registration_result,
)
from registrar.thingspace.requests import Call
from registrar.thingspace.schemas import (
    DeregistrationResult,
    RegisteredCallback,
    RegistrationResult,
)
from registrar.thingspace.transport import Transport
from registrar.turn import UNRESTRICTED, Turn

log = structlog.get_logger("registrar")

T = TypeVar("T")

MAX_ATTEMPTS = 3
FIRST_BACKOFF_S = 0.3
# A longer wait is left to the caller: the registrar holds a mutex meanwhile.
MAX_BACKOFF_S = 2.0


class CallbackClient:
    """The callback API. Every operation is bounded in time and in attempts; threads may share a client.

    Alone, in a program of your own (see docs/registration.md):

        from os import environ as env

        from registrar.thingspace import CallbackClient, Registration, ServiceName, Slot

        slot = Slot(account="0242078689-00001", version="v1")
        names = ("BASE_URL", "KEY", "SECRET", "USERNAME", "PASSWORD")
        with CallbackClient.open(*(env[f"THINGSPACE_{name}"] for name in names)) as client:
            client.register(slot, Registration("https://fota.example.com/callback"))
            print([callback.registration.url for callback in client.callbacks(slot)])
            client.deregister(slot, service=ServiceName.FOTA)

    A query or a registration that fails and may pass is tried three times, with backoff and full jitter, and
    obeys a Retry-After of up to two seconds; a longer one is the caller's to wait for. A refused token or
    session is renewed once for each operation, and so is a session that is suspected to be dead because
    two operations in a row were refused, in whatever way. Every error is a `registrar.errors.RegistrarError`;
    its class says what to do next.
    """

    def __init__(self, transport: Transport, authenticator: Authenticator) -> None:
        self.authenticator = authenticator
        self._transport = transport

    @classmethod
    def open(
        cls,
        base_url: str,
        key: str,
        secret: str,
        username: str,
        password: str,
        *,
        state_dir: Path = DEFAULT_FOLDER,
    ) -> Self:
        """A client that stands alone. It connects, and logs in, when it is first used.

        Args:
            base_url: of ThingSpace, `https://thingspace.verizon.com/api`.
            key: of the application.
            secret: of the application.
            username: of its user.
            password: of its user.
            state_dir: where failed logins are counted, across restarts: ThingSpace locks the account at the
                fifth in a row [doc]. Share it with a registrar on the same machine (its SPOOL_DIR).

        Raises:
            ValueError: the base URL is none, or would carry the credentials in clear.
        """
        credentials = Credentials(*map(Secret, (key, secret, username, password)))
        secrets = (credentials.key, credentials.secret, credentials.password)
        transport = Transport(parse_base_url(base_url), Timing(), secrets)
        breaker = LoginBreaker((FileStore(state_dir, digest_of(credentials)),))
        return cls(transport, Authenticator(transport, credentials, breaker, time.monotonic))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def callbacks(self, slot: Slot, turn: Turn = UNRESTRICTED) -> tuple[RegisteredCallback, ...]:
        """The callbacks that are registered, of every service.

        Args:
            slot: the account and the API version.
            turn: asked before every attempt; sleeps between two.

        Raises:
            RegistrarError: they could not be read.
        """
        try:
            return self._perform(requests.query(slot), read_callbacks, turn)
        except NotRegisteredError:
            return ()

    def query(self, slot: Slot, turn: Turn = UNRESTRICTED) -> Registration | None:
        """FOTA's callback alone; None: it is not registered. Arguments and errors as for `callbacks`."""
        for callback in self.callbacks(slot, turn):
            if callback.service == ServiceName.FOTA:
                return callback.registration
        return None

    def register(
        self,
        slot: Slot,
        wanted: Registration,
        turn: Turn = UNRESTRICTED,
        *,
        service: ServiceName = ServiceName.FOTA,
    ) -> RegistrationResult:
        """Registers a callback, and replaces the registered one, also another owner's [doc].

        Args:
            slot: the account and the API version.
            wanted: what to register; username and password are sent to v1 only.
            turn: as for `callbacks`.
            service: which callback service; only v1 names it.

        Raises:
            RegistrarError: it was not confirmed. It may have happened all the same.
        """
        call = requests.register(slot, wanted, service)
        return self._perform(call, read_registration_result, turn)

    def deregister(
        self,
        slot: Slot,
        turn: Turn = UNRESTRICTED,
        *,
        service: ServiceName = ServiceName.FOTA,
    ) -> DeregistrationResult:
        """Deregisters whatever is registered for a service; arguments and errors as for `register`.

        It names no URL [doc], so query first. It is sent once, unless a token is refused: when it failed it
        may have been carried out, and what is registered by then may be another owner's. Query again.
        """
        call = requests.deregister(slot, service)
        try:
            return self._perform(call, read_deregistration_result, turn, max_attempts=1)
        except NotRegisteredError:
            return DeregistrationResult(success=True)

    def close(self) -> None:
        """Ends the session and closes the connections; never raises."""
        if problem := self.authenticator.log_out():
            log.warning("session not ended", detail=problem)
        self._transport.close()

    def _perform(
        self,
        call: Call,
        read: Callable[[Reply], T],
        turn: Turn,
        *,
        max_attempts: int = MAX_ATTEMPTS,
    ) -> T:
        for attempt in range(1, max_attempts):
            try:
                return self._send(call, read, turn)
            except UnavailableError as error:
                if not is_retryable(error) or turn.sleep(_backoff_s(error, attempt)):
                    raise
        return self._send(call, read, turn)

    def _send(self, call: Call, read: Callable[[Reply], T], turn: Turn) -> T:
        """What `read` makes of the reply; renews a token and a session once each."""
        renewed: set[TokenKind] = set()
        renewals = self.authenticator.renewals
        while True:
            shown = self.authenticator.tokens(turn)
            turn.check()
            reply = self._transport.send(call, requests.token_auth(shown.token, shown.session))
            try:
                result = read(reply)
            except NotRegisteredError:
                raise
            except (AuthExpiredError, RejectedError) as refusal:
                stale = renewals.after(call, refusal)
                if stale <= renewed:
                    raise
                log.info("renewing", reason=refusal.reason, what=sorted(stale))
                renewed |= stale
                self.authenticator.invalidate(shown, stale)
            else:
                renewals.worked(call)
                return result


def is_retryable(error: UnavailableError) -> bool:
    """Whether it may pass soon, and ThingSpace does not ask for a longer wait."""
    if error.reason in LOCAL_CAUSES:
        return False
    if error.retry_after_s is None:
        # Throttled without a time: each further call may make it longer.
        return error.reason != "throttled"
    return error.retry_after_s <= MAX_BACKOFF_S


def _backoff_s(error: UnavailableError, attempt: int) -> float:
    """Doubling, with full jitter; never below what ThingSpace asked for."""
    backoff_s = random.uniform(0, min(FIRST_BACKOFF_S * 2.0**attempt, MAX_BACKOFF_S))  # noqa: S311
    return max(backoff_s, error.retry_after_s or 0.0)
