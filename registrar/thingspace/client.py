"""The callback API's client: retries what may pass, renews what is refused, once."""

import random
import threading
from collections.abc import Callable
from typing import TypeVar

import structlog

from registrar.errors import (
    LOCAL_CAUSES,
    AuthExpiredError,
    RejectedError,
    TokenKind,
    UnavailableError,
)
from registrar.http.reply import Reply
from registrar.model import Registration, ServiceName, Slot
from registrar.thingspace import requests
from registrar.thingspace.auth import Tokens
from registrar.thingspace.replies import (
    NotRegisteredError,
    read_callbacks,
    read_deregistration_result,
    read_registration_result,
)
from registrar.thingspace.requests import Call, token_auth
from registrar.thingspace.schemas import (
    DeregistrationResult,
    RegisteredCallback,
    RegistrationResult,
)
from registrar.thingspace.transport import Transport

log = structlog.get_logger("registrar")

T = TypeVar("T")

Permit = Callable[[], None]

ATTEMPTS = 3
# A wait that is longer than this is left to the next tick: a mutex is held meanwhile.
FIRST_WAIT_S = 0.3
LONGEST_WAIT_S = 2.0
PAUSE_S = 0.5


class Client:
    """Queries, registers and deregisters. Every call is bounded in time and in attempts.

    A query or a registration that fails and may pass is tried up to three times, with backoff and full jitter, obeying a
    Retry-After of up to two seconds; one that asks for more is the caller's to wait for. A refused
    token or session is renewed once for each call, and so is a session that is suspected to be dead, because two
    calls in a row were refused with it, in whatever way.

    Args:
        transport: sends.
        tokens: what calls show.
        wait: sleeps so many seconds, and returns True early if the process is to stop.
    """

    def __init__(
        self, transport: Transport, tokens: Tokens, wait: Callable[[float], bool] | None = None
    ) -> None:
        """Connects to nothing yet."""
        self.tokens = tokens
        self._transport = transport
        self._wait = wait or threading.Event().wait

    def patient(self, wait: Callable[[float], bool]) -> "Client":
        """The same client, woken by something else."""
        return Client(self._transport, self.tokens, wait)

    def query(self, slot: Slot, *, before: Permit = lambda: None) -> Registration | None:
        """What is registered.

        Args:
            slot: the account and version.
            before: called before every attempt; raises if this process is to make none.

        Raises:
            RegistrarError: it could not be learnt.
        """
        for callback in self.callbacks(slot, before=before):
            if callback.service == ServiceName.FOTA:
                return callback.registration
        return None

    def callbacks(
        self, slot: Slot, *, before: Permit = lambda: None
    ) -> tuple[RegisteredCallback, ...]:
        """The callbacks of every service that are registered; arguments and errors are those of `query`."""
        try:
            return self._call(requests.query(slot), read_callbacks, before)
        except NotRegisteredError:
            return ()

    def register(self, slot: Slot, wanted: Registration, *, before: Permit) -> RegistrationResult:
        """Registers, in place of whatever is there.

        Args:
            slot: the account and version.
            wanted: what to register.
            before: likewise; raises if this process may not write now.

        Raises:
            RegistrarError: it was not confirmed. It may have happened all the same.
        """
        return self._call(requests.register(slot, wanted), read_registration_result, before)

    def deregister(self, slot: Slot, *, before: Permit) -> DeregistrationResult:
        """Removes whatever is registered; arguments and errors are those of `register`.

        Sent once, unless a token is refused: when it failed it may have been carried out, and what is
        there by now may be another owner's. The caller has to look again.
        """
        call = requests.deregister(slot)
        try:
            return self._call(call, read_deregistration_result, before, attempts=1)
        except NotRegisteredError:
            return DeregistrationResult(success=True)

    def pause(self, error: UnavailableError) -> bool:
        """Waits before another attempt; True: the process is to stop."""
        return self._wait(error.retry_after_s or PAUSE_S)

    def close(self) -> None:
        """Ends the session and closes the connections; never raises."""
        if problem := self.tokens.log_out():
            log.warning("session not ended", detail=problem)
        self._transport.close()

    def _call(
        self, call: Call, read: Callable[[Reply], T], before: Permit, attempts: int = ATTEMPTS
    ) -> T:
        for attempt in range(1, attempts):
            try:
                return self._renewing(call, read, before)
            except UnavailableError as error:
                if not worth_retrying(error) or self._wait(_delay(error, attempt)):
                    raise
        return self._renewing(call, read, before)

    def _renewing(self, call: Call, read: Callable[[Reply], T], before: Permit) -> T:
        renewed: set[TokenKind] = set()
        renewals = self.tokens.renewals
        while True:
            shown = self.tokens.current(before)
            before()
            reply = self._transport.send(call, token_auth(shown.token, shown.session))
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
                self.tokens.discard(shown, stale)
            else:
                renewals.worked(call)
                return result


def worth_retrying(error: UnavailableError) -> bool:
    """Whether it may pass soon, and the provider does not ask for a longer wait."""
    if error.reason in LOCAL_CAUSES:
        return False
    if error.retry_after_s is None:
        # Throttled, without a word on for how long: each further call may make it longer.
        return error.reason != "throttled"
    return error.retry_after_s <= LONGEST_WAIT_S


def _delay(error: UnavailableError, attempt: int) -> float:
    """Doubling, with full jitter; never below what the provider asked for."""
    backoff = random.uniform(0, min(FIRST_WAIT_S * 2.0**attempt, LONGEST_WAIT_S))  # noqa: S311
    return max(backoff, error.retry_after_s or 0.0)
