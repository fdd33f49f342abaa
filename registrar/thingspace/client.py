"""The callback API's client: retries what may pass, renews what is refused, once."""

import random
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
from registrar.turn import UNRESTRICTED, Turn

log = structlog.get_logger("registrar")

T = TypeVar("T")

ATTEMPTS = 3
# A wait that is longer than this is left to the next tick: a mutex is held meanwhile.
FIRST_WAIT_S = 0.3
LONGEST_WAIT_S = 2.0


class Client:
    """Queries, registers and deregisters. Every call is bounded in time and in attempts.

    A query or a registration that fails and may pass is tried up to three times, with backoff and full jitter, obeying a
    Retry-After of up to two seconds; one that asks for more is the caller's to wait for. A refused
    token or session is renewed once for each call, and so is a session that is suspected to be dead, because two
    calls in a row were refused with it, in whatever way.

    Args:
        transport: sends.
        tokens: what calls show.
    """

    def __init__(self, transport: Transport, tokens: Tokens) -> None:
        self.tokens = tokens
        self._transport = transport

    def query(self, slot: Slot, turn: Turn = UNRESTRICTED) -> Registration | None:
        """What is registered.

        Args:
            slot: the account and version.
            turn: asked before every attempt; sleeps between two.

        Raises:
            RegistrarError: it could not be learnt.
        """
        for callback in self.callbacks(slot, turn):
            if callback.service == ServiceName.FOTA:
                return callback.registration
        return None

    def callbacks(self, slot: Slot, turn: Turn = UNRESTRICTED) -> tuple[RegisteredCallback, ...]:
        """The callbacks of every service that are registered; arguments and errors are those of `query`."""
        try:
            return self._call(requests.query(slot), read_callbacks, turn)
        except NotRegisteredError:
            return ()

    def register(
        self, slot: Slot, wanted: Registration, turn: Turn = UNRESTRICTED
    ) -> RegistrationResult:
        """Registers, in place of whatever is there.

        Args:
            slot: the account and version.
            wanted: what to register.
            turn: as for `query`.

        Raises:
            RegistrarError: it was not confirmed. It may have happened all the same.
        """
        return self._call(requests.register(slot, wanted), read_registration_result, turn)

    def deregister(self, slot: Slot, turn: Turn = UNRESTRICTED) -> DeregistrationResult:
        """Removes whatever is registered; arguments and errors are those of `register`.

        Sent once, unless a token is refused: when it failed it may have been carried out, and what is
        there by now may be another owner's. The caller has to look again.
        """
        call = requests.deregister(slot)
        try:
            return self._call(call, read_deregistration_result, turn, attempts=1)
        except NotRegisteredError:
            return DeregistrationResult(success=True)

    def close(self) -> None:
        """Ends the session and closes the connections; never raises."""
        if problem := self.tokens.log_out():
            log.warning("session not ended", detail=problem)
        self._transport.close()

    def _call(
        self, call: Call, read: Callable[[Reply], T], turn: Turn, attempts: int = ATTEMPTS
    ) -> T:
        for attempt in range(1, attempts):
            try:
                return self._renewing(call, read, turn)
            except UnavailableError as error:
                if not worth_retrying(error) or turn.sleep(_delay(error, attempt)):
                    raise
        return self._renewing(call, read, turn)

    def _renewing(self, call: Call, read: Callable[[Reply], T], turn: Turn) -> T:
        renewed: set[TokenKind] = set()
        renewals = self.tokens.renewals
        while True:
            shown = self.tokens.current(turn)
            turn.check()
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
