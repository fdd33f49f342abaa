"""The callback endpoint: a delivery's way from the first byte to the answer."""

import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import structlog

from listener import metrics
from listener.callback import auth, body, ownership_probe, responses
from listener.callback.incoming import Incoming
from listener.callback.redaction import redact_raw
from listener.errors import (
    MalformedRequestError,
    MethodNotAllowedError,
    QueueUnavailableError,
    RefusalError,
)
from listener.messages import payload
from listener.messages.message import Message, check_account
from listener.messages.raw_search import possible_values
from listener.queue.queue import Kept, Queue
from listener.refusal_log import LogRateLimiter
from listener.settings.settings import Settings

log = structlog.get_logger("listener")

# What a message says of itself is shown in a log line up to so many characters.
SHOWN = 100
# An answer to a body that could not be parsed waits for this time, in which what may have to be kept of
# it is: well above what a write to the quarantine takes, and far below the provider's patience.
HIDING_S = 0.1


class Endpoint:
    """Takes a delivery from the first byte to the answer; `receive` is the whole way."""

    def __init__(
        self,
        settings: Settings,
        queue: Queue,
        now: Callable[[], datetime],
        clock: Callable[[], float],
    ) -> None:
        """Takes what decides, what keeps, the time of day, and a monotonic clock in seconds."""
        self._settings = settings
        self._secrets = settings.secrets
        self._queue = queue
        self._now = now
        self._throttle = LogRateLimiter(clock)

    def receive(self, incoming: Incoming) -> responses.Answer:
        """Answers 200 only when the message is kept.

        Raises:
            RefusalError: for every other answer.
        """
        started = time.perf_counter()
        body.check_announced_size(incoming, self._settings.max_body_bytes)
        old_token = auth.check_path(incoming.path, self._settings)
        nonce = incoming.header(ownership_probe.NONCE_HEADER) if incoming.method == "GET" else None
        if nonce is not None:
            return self._answer_probe(nonce)
        if incoming.method != "POST":
            raise MethodNotAllowedError("POST")
        auth.check_source(incoming.sender, incoming.forwarded_for, self._settings)
        message = self._accept(incoming, self._read(incoming))
        if old_token:
            self._note_previous("token")
        duplicate, keeper = self._keep(message)
        result = "duplicate" if duplicate else "new"
        taken_s = time.perf_counter() - started
        metrics.count(metrics.MESSAGES, message.kind, result)
        metrics.observe(metrics.ACKNOWLEDGEMENT, taken_s)
        log.info(
            "message kept",
            kind=message.kind,
            id=message.id,
            account=_shown(message.account),
            upgrade=_shown(message.subject),
            result=result,
            keeper=keeper,
            ms=round(taken_s * 1000, 1),
            request_id=message.request_id,
        )
        return responses.answer(id=message.id, duplicate=duplicate)

    def _read(self, incoming: Incoming) -> bytes:
        try:
            return body.read(incoming, self._settings.max_body_bytes)
        except RefusalError as refusal:
            refusal.proven = self._settings.authenticates_before_body
            raise

    def _accept(self, incoming: Incoming, raw: bytes) -> Message:
        arrived = self._now()
        proven = self._settings.authenticates_before_body
        content = None
        try:
            payload.check_encoding(raw, *incoming.codings)
            content = payload.parse(raw, incoming.content_type)
            old_password = auth.check_credentials(content, self._settings)
            proven = self._settings.authenticates_sender
            if old_password:
                self._note_previous("password")
            check_account(content, self._settings)
            return Message.from_payload(content, arrived=arrived, request_id=incoming.request_id)
        except RefusalError as refusal:
            # A password that is wrong is no proof of sender, whatever token came with it.
            refusal.proven = proven and refusal.status != 401
            if refusal.proven:
                data = self._readable(raw, content, refusal, incoming)
                self._keep_refused(data, refusal, arrived, incoming.request_id)
            elif content is None and self._settings.callback_password:
                self._keep_if_password_inside(raw, refusal, arrived, incoming)
            raise

    def _keep(self, message: Message) -> Kept:
        try:
            return self._queue.put(message)
        except RefusalError as refusal:
            refusal.proven = True
            raise

    def _note_previous(self, secret: str) -> None:
        """Tells that a secret which is being replaced is still in use, and so cannot go yet."""
        metrics.count(metrics.PREVIOUS_SECRETS, secret)
        suppressed = self._throttle.allow(secret)
        if suppressed is not None:
            setting = f"CALLBACK_{secret.upper()}_PREVIOUS"
            log.warning(
                "sender still uses the previous secret", setting=setting, suppressed=suppressed
            )

    def _keep_if_password_inside(
        self, raw: bytes, refusal: RefusalError, arrived: datetime, incoming: Incoming
    ) -> None:
        """Quarantines a body that could not be parsed if the callback's password stands in it.

        A stranger who puts guesses into such a body learns nothing from its answer, nor from the time
        of it: that is the same whether there was something to keep or not.
        """
        ends = time.monotonic() + HIDING_S

        def keep() -> None:
            try:
                values = possible_values(raw, incoming.content_type)
                if auth.holds_password(values, self._settings):
                    refusal.proven = True
                    data = self._readable(raw, None, refusal, incoming)
                    self._keep_refused(data, refusal, arrived, incoming.request_id)
            except Exception as error:
                # Nobody waits for this thread; so its errors are logged here.
                log.exception("refused message not quarantined", detail=type(error).__name__)

        keeping = threading.Thread(target=keep, name="quarantine")
        keeping.start()
        time.sleep(max(0.0, ends - time.monotonic()))

    def _keep_refused(
        self, data: str, refusal: RefusalError, arrived: datetime, request_id: str
    ) -> None:
        try:
            self._queue.quarantine(data, reason=refusal.reason, arrived=arrived)
        except QueueUnavailableError as problem:
            # The sender's mistake is what it gets told; that nobody will find the body is ours.
            suppressed = self._throttle.allow("quarantine")
            if suppressed is not None:
                log.error(  # noqa: TRY400 (an outage, not a bug: its traceback says nothing)
                    "refused message not quarantined",
                    reason=problem.reason,
                    detail=problem.detail,
                    request_id=request_id,
                    suppressed=suppressed,
                )

    def _readable(
        self,
        raw: bytes,
        content: Mapping[str, Any] | None,
        refusal: RefusalError,
        incoming: Incoming,
    ) -> str:
        """A refused body without the credentials: what was parsed of it, if it was, else its text."""
        if content is not None:
            return payload.serialize(payload.without_credentials(content)).decode()
        if refusal.reason == "compressed":
            return _mislabelled(raw, incoming.content_type)
        return redact_raw(raw, self._secrets, incoming.content_type)

    def _answer_probe(self, nonce: str) -> responses.Answer:
        if len(nonce) > ownership_probe.MAX_NONCE_LENGTH:
            raise MalformedRequestError
        return responses.answer(**ownership_probe.answers(nonce, self._settings))


def _mislabelled(raw: bytes, content_type: str) -> str:
    """A body that is called compressed and is plain JSON all the same, without the credentials; else nothing.

    Of what is compressed nothing can be kept that a password could not be unpacked from.
    """
    try:
        content = payload.parse(raw, content_type)
    except RefusalError:
        return ""
    return payload.serialize(payload.without_credentials(content)).decode()


def _shown(text: str | None) -> str | None:
    """What a sender wrote, fit for a line on a terminal: short, and without control characters."""
    text = text and text[:SHOWN]
    if not text or text.isprintable():
        return text
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
