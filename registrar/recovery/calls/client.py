"""Sends the reporting calls: one at a time, paced, patient, and with the tokens of the registration."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from registrar.coordination.pauses import Pauses
from registrar.errors import (
    LOCAL_CAUSES,
    AuthExpiredError,
    StoppingError,
    UnavailableError,
)
from registrar.http.reply import Reply
from registrar.thingspace import requests
from registrar.thingspace.auth import Authenticator, SessionTokens
from registrar.thingspace.requests import Call
from registrar.thingspace.retry_after import retry_after
from registrar.thingspace.transport import Transport
from registrar.turn import Turn

T = TypeVar("T")

# A page of v1 has the devices of all its upgrades, and its size is not documented.
MAX_REPLY_BYTES = 32 * 1024 * 1024
# A sweep has time: it waits for as long as it is asked to, a day at most.
MAX_RETRY_AFTER_S = 24 * 3600.0
# The mutex is renewed at least this often during a wait.
RENEW_S = 5.0


@dataclass(frozen=True)
class Pace:
    """How the calls are spread, in seconds.

    Attributes:
        pause_s: between two calls.
        first_backoff_s: after a first failure; doubles with each.
        max_wait_s: a longer wait is left to the next run.
        max_attempts: of one call.
    """

    pause_s: float = 0.1
    first_backoff_s: float = 2.0
    max_wait_s: float = 300.0
    max_attempts: int = 4


class ReportClient:
    """The reporting calls of one run of a sweep.

    It shares the tokens of the registration, and its login breaker; a token or a session that is refused is
    renewed at most once in a run, and a failed login ends the run. It keeps the pauses of the registration, and never
    begins one: a sweep that is throttled waits by itself.

    Args:
        transport: with a limit of size that fits a page.
        authenticator: the registration's.
        pauses: the registration's.
        pace: of the calls.

    Attributes:
        calls: how many were sent.
    """

    def __init__(
        self,
        transport: Transport,
        authenticator: Authenticator,
        pauses: Pauses,
        pace: Pace,
    ) -> None:
        self._transport = transport
        self._authenticator = authenticator
        self._pauses = pauses
        self._pace = pace
        self._has_renewed = False
        self.calls = 0

    def fetch(self, call: Call, read: Callable[[Reply], T], turn: Turn) -> T:
        """What `read` makes of the reply.

        Args:
            call: a GET.
            read: raises RegistrarError if the reply is no data.
            turn: asked before everything that is sent, and during waits.

        Raises:
            UnavailableError: ThingSpace did not answer in several attempts, or asks for a wait of more than
                `max_wait_s`: then its `retry_after_s` says how long, up to a day.
            RegistrarError: it refused, the login failed, or the process is to stop.
        """
        failures = 0
        while True:
            self._wait(max(self._pace.pause_s, self._pauses.left_s()), turn)
            # Outside of the attempts: a login that failed is not repeated for the sake of a sweep.
            shown = self._authenticator.tokens(turn)
            try:
                return self._send(call, read, shown, turn)
            except AuthExpiredError as refusal:
                if self._has_renewed:
                    raise
                self._has_renewed = True
                self._authenticator.invalidate(shown, refusal.stale)
            except UnavailableError as error:
                failures += 1
                wait_s = max(error.retry_after_s or 0.0, self._backoff_s(failures))
                is_hopeless = error.reason in LOCAL_CAUSES or failures >= self._pace.max_attempts
                if is_hopeless or wait_s > self._pace.max_wait_s:
                    raise
                self._wait(wait_s, turn)

    def _send(self, call: Call, read: Callable[[Reply], T], shown: SessionTokens, turn: Turn) -> T:
        turn.check()
        self.calls += 1
        reply = self._transport.send(call, requests.token_auth(shown.token, shown.session))
        try:
            return read(reply)
        except UnavailableError as error:
            asked_s = retry_after(
                reply.headers.get("retry-after"), datetime.now(UTC), longest_s=MAX_RETRY_AFTER_S
            )
            error.retry_after_s = max(error.retry_after_s or 0.0, asked_s or 0.0) or None
            raise

    def _backoff_s(self, failures: int) -> float:
        return self._pace.first_backoff_s * 2.0 ** (failures - 1) * random.uniform(0.75, 1.0)  # noqa: S311

    @staticmethod
    def _wait(seconds: float, turn: Turn) -> None:
        """Waits, and renews the mutex meanwhile. Raises RegistrarError if nothing may be sent any more."""
        while seconds > 0:
            if turn.sleep(min(seconds, RENEW_S)):
                raise StoppingError
            turn.check()
            seconds -= RENEW_S
