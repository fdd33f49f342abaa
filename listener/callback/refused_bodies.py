"""Quarantines the refused bodies of authenticated senders, without their credentials."""

import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import structlog

from listener.callback.auth import Authentication, Generation, password_among
from listener.callback.redaction import redact_raw
from listener.callback.request import CallbackRequest
from listener.errors import CompressedError, QueueUnavailableError, RefusalError
from listener.messages import payload
from listener.messages.raw_search import possible_values
from listener.queue.queue import MessageQueue
from listener.refusal_log import LogRateLimiter
from listener.settings.settings import Settings

log = structlog.get_logger("listener")

# The answer to a body that could not be parsed waits for this time, in which the body is searched and
# quarantined if need be: well above what a write to the quarantine takes, and far below the provider's timeout.
HIDING_S = 0.1

Content = Mapping[str, Any]


class RefusedBodies:
    """Writes refused bodies to the quarantine; each process has its own."""

    def __init__(self, settings: Settings, queue: MessageQueue, clock: Callable[[], float]) -> None:
        """Takes the secrets to remove, the queue, and a monotonic clock in seconds."""
        self._settings = settings
        self._secrets = settings.secrets
        self._queue = queue
        self._limiter = LogRateLimiter(clock)

    def quarantine_if_authenticated(
        self,
        request: CallbackRequest,
        body: bytes,
        content: Content | None,
        refusal: RefusalError,
        arrived: datetime,
    ) -> None:
        """Writes a refused body to the quarantine if its sender is authenticated.

        A body that could not be parsed authenticates its sender if the callback's password is anywhere in it.
        A failure of the queue is only logged: the sender is answered the refusal all the same.

        Args:
            request: that brought it, with what its sender has proved; that is updated.
            body: as it came.
            content: what was parsed of it; None if it could not be parsed.
            refusal: why it was refused.
            arrived: when, with a time zone.
        """
        if request.authentication.is_authenticated:
            self._quarantine(request, body, content, refusal, arrived)
        elif content is None and self._settings.callback_password:
            self._quarantine_if_password_inside(request, body, refusal, arrived)

    def _quarantine_if_password_inside(
        self, request: CallbackRequest, body: bytes, refusal: RefusalError, arrived: datetime
    ) -> None:
        """Searches in a thread, and takes the same time whatever the thread does.

        A stranger who puts guesses into such a body learns nothing from its answer, nor from the time of it.
        """
        ends = time.monotonic() + HIDING_S

        def search_and_quarantine() -> None:
            try:
                values = possible_values(body, request.content_type or "")
                if password_among(values, self._settings):
                    request.authentication = Authentication(password=Generation.CURRENT)
                    self._quarantine(request, body, None, refusal, arrived)
            except Exception as error:
                # Nobody waits for this thread, so its errors are logged here.
                log.exception("refused message not quarantined", detail=type(error).__name__)

        threading.Thread(target=search_and_quarantine, name="quarantine").start()
        time.sleep(max(0.0, ends - time.monotonic()))

    def _quarantine(
        self,
        request: CallbackRequest,
        body: bytes,
        content: Content | None,
        refusal: RefusalError,
        arrived: datetime,
    ) -> None:
        text = self._without_credentials(body, content, refusal, request.content_type or "")
        try:
            self._queue.quarantine(text, reason=refusal.reason, arrived=arrived)
        except QueueUnavailableError as problem:
            suppressed = self._limiter.allow("quarantine")
            if suppressed is not None:
                log.error(  # noqa: TRY400 (an outage, not a bug: its traceback says nothing)
                    "refused message not quarantined",
                    reason=problem.reason,
                    detail=problem.detail,
                    request_id=request.request_id,
                    suppressed=suppressed,
                )

    def _without_credentials(
        self, body: bytes, content: Content | None, refusal: RefusalError, content_type: str
    ) -> str:
        """A body as text: what was parsed of it, if it was, else the body itself with the secrets blotted out."""
        if isinstance(refusal, CompressedError):
            # Nothing that is compressed can be kept: a password could be unpacked from it. Plain JSON that
            # is only called compressed can.
            try:
                content = payload.parse(body, content_type)
            except RefusalError:
                return ""
        if content is not None:
            return payload.serialize(payload.without_credentials(content)).decode()
        return redact_raw(body, self._secrets, content_type)
