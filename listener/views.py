"""The HTTP surface of the public port: the callback endpoint and the two health checks."""

import re
import time
import uuid
from collections.abc import Callable
from datetime import datetime

import structlog
from flask import Blueprint, Request, Response, g, jsonify, request
from gunicorn.http.errors import ParseException

from listener import auth, messages, probe
from listener.errors import QueueUnavailableError, RefusalError
from listener.health import Readiness
from listener.queue.keeper import Queue
from listener.settings import Settings

log = structlog.get_logger("listener")

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
READ_SIZE = 64 * 1024
REQUEST_ID_FORM = re.compile(r"[A-Za-z0-9._~-]{1,128}")


class Endpoint:
    """Takes a delivery from the first byte to the answer; `receive` is the whole way."""

    def __init__(self, settings: Settings, queue: Queue, now: Callable[[], datetime]) -> None:
        """Takes what decides, what keeps, and the time of day."""
        self._settings = settings
        self._secrets = settings.secrets
        self._queue = queue
        self._now = now

    def receive(self) -> Response:
        """Answers 200 only when the message is kept.

        Raises:
            RefusalError: for every other answer.
        """
        started = time.perf_counter()
        _check_announced_size(request, self._settings.max_body_bytes)
        auth.check_path(request.path, self._settings)
        if request.method == "GET" and probe.NONCE_HEADER in request.headers:
            return self._answer_probe()
        if request.method != "POST":
            raise RefusalError("method-not-allowed")
        auth.check_source(request.remote_addr, _forwarded_for(request), self._settings)
        message = self._accept(_read_body(request, self._settings.max_body_bytes))
        duplicate = self._queue.put(message)
        log.info(
            "message kept",
            kind=message.kind,
            id=message.id,
            account=message.account,
            upgrade=message.subject,
            result="duplicate" if duplicate else "new",
            ms=round((time.perf_counter() - started) * 1000, 1),
            request_id=message.request_id,
        )
        return jsonify(id=message.id, duplicate=duplicate)

    def _accept(self, body: bytes) -> messages.Message:
        arrived = self._now()
        proven = self._settings.proves_sender_before_body
        data = None
        try:
            payload = messages.parse(body)
            auth.check_credentials(payload, self._settings)
            proven = self._settings.proves_sender
            data = messages.serialize(messages.without_credentials(payload)).decode()
            auth.check_account(payload, self._settings)
            return messages.validate(payload, arrived=arrived, request_id=request_id())
        except RefusalError as refusal:
            # A password that is wrong is no proof of sender, whatever token came with it.
            if proven and refusal.answer.status != 401:
                self._keep_refused(
                    data or messages.redact_raw(body, self._secrets), refusal, arrived
                )
            raise

    def _keep_refused(self, data: str, refusal: RefusalError, arrived: datetime) -> None:
        try:
            self._queue.quarantine(data, reason=refusal.reason, arrived=arrived)
        except QueueUnavailableError as problem:
            # The sender's mistake is what it gets told; that nobody will find the body is ours.
            log.error(  # noqa: TRY400 (an outage, not a bug: its traceback says nothing)
                "refused message not quarantined",
                reason=problem.reason,
                detail=problem.detail,
                request_id=request_id(),
            )

    def _answer_probe(self) -> Response:
        nonce = request.headers[probe.NONCE_HEADER]
        if len(nonce) > probe.MAX_NONCE_LENGTH:
            raise RefusalError("bad-request")
        return jsonify(answer=probe.answer(nonce, self._settings))


def public(
    settings: Settings, queue: Queue, readiness: Readiness, now: Callable[[], datetime]
) -> Blueprint:
    """The routes of the public port.

    Every path but the two health checks goes one way, so that a wrong token and a wrong path cannot
    be told apart.
    """
    views = Blueprint("public", __name__)
    endpoint = Endpoint(settings, queue, now)

    @views.get("/healthz")
    def alive() -> Response:
        return jsonify(status="alive")

    @views.get("/readyz")
    def ready() -> Response:
        return jsonify(status="ready", keeper=readiness.check())

    @views.route("/", methods=METHODS, provide_automatic_options=False)
    @views.route("/<path:path>", methods=METHODS, provide_automatic_options=False)
    def receive(path: str = "") -> Response:  # noqa: ARG001 (the request's whole path is compared)
        return endpoint.receive()

    return views


def request_id() -> str:
    """The request's X-Request-Id if it is fit for a log line, else one of our own, made once."""
    if "request_id" not in g:
        given = request.headers.get("X-Request-Id", "")
        g.request_id = given if REQUEST_ID_FORM.fullmatch(given) else uuid.uuid4().hex
    return str(g.request_id)


def problem(refusal: RefusalError) -> Response:
    """An RFC 9457 answer that tells the reason and repeats nothing of the request."""
    answer = refusal.answer
    response = jsonify(
        type="about:blank", title=answer.title, status=answer.status, reason=refusal.reason
    )
    response.status_code = answer.status
    response.mimetype = "application/problem+json"
    if answer.status == 405:
        response.headers["Allow"] = "POST"
    if answer.status == 503:
        # The provider's second attempt has been seen 1.2 to 1.7 s after the first, on a sibling
        # service; it is not known whether it reads this.
        response.headers["Retry-After"] = "1"
    return response


def _check_announced_size(incoming: Request, limit: int) -> None:
    if (incoming.content_length or 0) > limit:
        raise RefusalError("too-large")


def _read_body(incoming: Request, limit: int) -> bytes:
    """The whole body; nothing less, and not more than the limit.

    Werkzeug's own limit would cut a chunked body off at the limit without a word, and gunicorn ends
    the stream of a sender that hung up in the middle as if that were all.
    """
    body = bytearray()
    try:
        while part := incoming.stream.read(min(READ_SIZE, limit + 1 - len(body))):
            body += part
            if len(body) > limit:
                raise RefusalError("too-large")
    except (OSError, ParseException) as error:
        # The connection broke, or gunicorn found the chunks malformed.
        raise RefusalError("bad-request", type(error).__name__) from error
    if incoming.content_length is not None and len(body) != incoming.content_length:
        raise RefusalError("bad-request", "the body is shorter than announced")
    return bytes(body)


def _forwarded_for(incoming: Request) -> list[str]:
    return [part for part in incoming.headers.get("X-Forwarded-For", "").split(",") if part]
