"""The view of the callback endpoint: a message's way from the first byte to the answer."""

import time
from collections.abc import Callable
from datetime import datetime

import structlog
from flask import Response

from listener import metrics
from listener.callback import auth, ownership_probe
from listener.callback.auth import NOT_AUTHENTICATED, Authentication
from listener.callback.refused_bodies import RefusedBodies
from listener.callback.request import CallbackRequest, current_request
from listener.callback.responses import json_response
from listener.errors import (
    CredentialsError,
    MalformedRequestError,
    MethodNotAllowedError,
    RefusalError,
    RequestTooLargeError,
)
from listener.messages import payload
from listener.messages.message import Message, check_account
from listener.queue.queue import MessageQueue, PutResult
from listener.refusal_log import LogRateLimiter
from listener.settings.settings import Settings

log = structlog.get_logger("listener")

# Of a field that the sender wrote, in a log line.
MAX_LOGGED_CHARS = 100


class CallbackView:
    """The view function, with what it works with; calling it is the whole way of a message."""

    def __init__(
        self,
        settings: Settings,
        queue: MessageQueue,
        now: Callable[[], datetime],
        clock: Callable[[], float],
    ) -> None:
        """Takes the settings, the queue, the time of day, and a monotonic clock in seconds."""
        self._settings = settings
        self._queue = queue
        self._now = now
        # The name in the module is a proxy that looks the logger up for each line.
        self._log = log.bind()
        self._limiter = LogRateLimiter(clock)
        self._refused_bodies = RefusedBodies(settings, queue, clock)

    def __call__(self, path: str = "") -> Response:  # noqa: ARG002 (the whole path is compared)
        """Answers 200 only when the message is kept.

        Raises:
            RefusalError: for every other answer.
        """
        started = time.perf_counter()
        request, settings = current_request(), self._settings
        if (request.announced_bytes or 0) > settings.max_body_bytes:
            raise RequestTooLargeError
        authentication = auth.check_path(request.hidden_path, settings)
        if request.method == "GET" and (nonce := request.probe_nonce) is not None:
            return self._answer_probe(nonce)
        if request.method != "POST":
            raise MethodNotAllowedError("POST")
        request.authentication = auth.check_source(
            authentication, request.remote_addr, request.forwarded_for, settings
        )
        body = request.read_body(settings.max_body_bytes)
        message = self._authenticate_and_validate(request, body)
        kept = self._queue.put(message)
        self._count_and_log(message, kept, time.perf_counter() - started)
        return json_response(id=message.id, duplicate=kept.duplicate)

    def _authenticate_and_validate(self, request: CallbackRequest, body: bytes) -> Message:
        """The message in a body; a body that is refused is quarantined if its sender is authenticated."""
        arrived = self._now()
        content = None
        try:
            payload.check_encoding(body, *request.codings)
            content = payload.parse(body, request.content_type or "")
            request.authentication = auth.check_credentials(
                request.authentication, content, self._settings
            )
            self._warn_previous_secrets(request.authentication)
            check_account(content, self._settings)
            return Message.from_payload(
                content,
                arrived=arrived,
                request_id=request.request_id,
                traceparent=request.traceparent,
            )
        except RefusalError as refusal:
            if isinstance(refusal, CredentialsError):
                # Wrong credentials authenticate nobody, whatever token came with them.
                request.authentication = NOT_AUTHENTICATED
            self._refused_bodies.quarantine_if_authenticated(
                request, body, content, refusal, arrived
            )
            raise

    def _answer_probe(self, nonce: str) -> Response:
        if len(nonce) > ownership_probe.MAX_NONCE_LENGTH:
            raise MalformedRequestError
        return json_response(**ownership_probe.response_members(nonce, self._settings))

    def _warn_previous_secrets(self, authentication: Authentication) -> None:
        """Logs and counts that a secret which is being replaced is still in use, and so cannot be removed yet."""
        for secret in authentication.previous_secrets:
            metrics.count(metrics.PREVIOUS_SECRETS, secret)
            suppressed = self._limiter.allow(secret)
            if suppressed is not None:
                setting = f"CALLBACK_{secret.upper()}_PREVIOUS"
                log.warning(
                    "sender still uses the previous secret", setting=setting, suppressed=suppressed
                )

    def _count_and_log(self, message: Message, kept: PutResult, taken_s: float) -> None:
        result = "duplicate" if kept.duplicate else "new"
        metrics.count(metrics.MESSAGES, message.kind, result)
        metrics.observe(metrics.ACKNOWLEDGEMENT, taken_s)
        self._log.info(
            "message kept",
            kind=message.kind,
            id=message.id,
            account=_safe_for_log(message.account),
            upgrade=_safe_for_log(message.subject),
            result=result,
            keeper=kept.stored_in,
            ms=round(taken_s * 1000, 1),
            request_id=message.request_id,
        )


def _safe_for_log(text: str | None) -> str | None:
    """What a sender wrote, fit for a line on a terminal: short, and without control characters."""
    text = text and text[:MAX_LOGGED_CHARS]
    if not text or text.isprintable():
        return text
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
