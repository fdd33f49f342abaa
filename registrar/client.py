"""The callback API's client: retries what may pass, renews what is refused, once."""

import threading
from collections.abc import Callable

import structlog
import tenacity

from registrar import protocol
from registrar.errors import Grant, RenewError, UnavailableError
from registrar.protocol import Call, Registration, Slot
from registrar.refusals import Reply, check
from registrar.signin import call_headers
from registrar.tokens import Tokens
from registrar.transport import Transport

log = structlog.get_logger("registrar")

Permit = Callable[[], None]

ATTEMPTS = 3
# A wait that is longer than this is left to the next tick: a mutex is held meanwhile.
LONGEST_WAIT_S = 2.0
PAUSE_S = 0.5


class Client:
    """Queries, registers and deregisters. Every call is bounded in time and in attempts.

    A query or a registration that fails and may pass is tried up to three times, with backoff and full jitter, obeying a
    Retry-After of up to two seconds; one that asks for more is the caller's to wait for. A refused
    token or session is renewed once for each call.

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
        return protocol.read(self._call(protocol.query(slot), before))

    def register(self, slot: Slot, wanted: Registration, *, before: Permit) -> None:
        """Registers, in place of whatever is there.

        Args:
            slot: the account and version.
            wanted: what to register.
            before: likewise; raises if this process may not write now.

        Raises:
            RegistrarError: it was not confirmed. It may have happened all the same.
        """
        protocol.confirm(self._call(protocol.register(slot, wanted), before))

    def deregister(self, slot: Slot, *, before: Permit) -> None:
        """Removes whatever is registered; arguments and errors are those of `register`.

        Sent once, unless a token is refused: when it failed it may have been carried out, and what is
        there by now may be another owner's. The caller has to look again.
        """
        protocol.confirm(self._call(protocol.deregister(slot), before, attempts=1))

    def pause(self, error: UnavailableError) -> bool:
        """Waits before another attempt; True: the process is to stop."""
        return self._wait(error.retry_after_s or PAUSE_S)

    def close(self) -> None:
        """Ends the session; never raises."""
        if problem := self.tokens.log_out():
            log.warning("session not ended", detail=problem)

    def _call(self, call: Call, before: Permit, attempts: int = ATTEMPTS) -> Reply:
        interrupted = threading.Event()

        def sleep(seconds: float) -> None:
            if self._wait(seconds):
                interrupted.set()

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(worth_retrying),
            stop=tenacity.stop_any(
                tenacity.stop_after_attempt(attempts), tenacity.stop_when_event_set(interrupted)
            ),
            wait=_delay,
            sleep=sleep,
            reraise=True,
        )
        return retrying(self._renewing, call, before)

    def _renewing(self, call: Call, before: Permit) -> Reply:
        renewed: set[Grant] = set()
        while True:
            shown = self.tokens.current()
            before()
            reply = self._transport.send(call, call_headers(shown.token, shown.session))
            try:
                check(reply)
            except RenewError as refusal:
                if refusal.grants <= renewed:
                    raise
                log.info("renewing", reason=refusal.reason, what=sorted(refusal.grants))
                renewed |= refusal.grants
                self.tokens.discard(shown, refusal.grants)
            else:
                return reply


def worth_retrying(error: BaseException) -> bool:
    """Whether it may pass soon, and the provider does not ask for a longer wait."""
    if not isinstance(error, UnavailableError):
        return False
    return error.retry_after_s is None or error.retry_after_s <= LONGEST_WAIT_S


_backoff = tenacity.wait_random_exponential(multiplier=0.3, max=LONGEST_WAIT_S)


def _delay(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_s if isinstance(error, UnavailableError) else None
    return max(_backoff(state), asked or 0.0)
