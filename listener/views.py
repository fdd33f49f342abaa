"""The HTTP surface of the public port: the callback endpoint and the two health checks."""

import re
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import structlog
from flask import Blueprint, Request, Response, g, jsonify, request

from listener import auth, body, messages, metrics, payload, probe
from listener.errors import QueueUnavailableError, RefusalError
from listener.forms import RESERVED_PATHS
from listener.health import Readiness
from listener.queue.keeper import Queue
from listener.redaction import redact_raw
from listener.refusal_log import Throttle
from listener.secret import Secret
from listener.settings import Settings

log = structlog.get_logger("listener")

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
CODINGS = ("Content-Encoding", "Transfer-Encoding")
# What a message says of itself is shown in a log line up to so many characters.
SHOWN = 100
REQUEST_ID_FORM = re.compile(r"[A-Za-z0-9._~-]{1,128}")


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
        self._throttle = Throttle(clock)

    def receive(self) -> Response:
        """Answers 200 only when the message is kept.

        Raises:
            RefusalError: for every other answer.
        """
        started = time.perf_counter()
        body.check_announced_size(request, self._settings.max_body_bytes)
        old_token = auth.check_path(_path(request), self._settings)
        if request.method == "GET" and probe.NONCE_HEADER in request.headers:
            return self._answer_probe()
        if request.method != "POST":
            raise RefusalError("method-not-allowed")
        auth.check_source(request.remote_addr, _forwarded_for(request), self._settings)
        message = self._accept(self._read())
        if old_token:
            self._note_previous("token")
        result = "duplicate" if self._keep(message) else "new"
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
            ms=round(taken_s * 1000, 1),
            request_id=message.request_id,
        )
        return jsonify(id=message.id, duplicate=result == "duplicate")

    def _read(self) -> bytes:
        try:
            return body.read(request, self._settings.max_body_bytes)
        except RefusalError as refusal:
            refusal.proven = self._settings.proves_sender_before_body
            raise

    def _accept(self, raw: bytes) -> messages.Message:
        arrived = self._now()
        proven = self._settings.proves_sender_before_body
        content = None
        try:
            codings = (request.headers.get(name, "") for name in CODINGS)
            payload.check_encoding(raw, *codings)
            content = payload.parse(raw)
            old_password = auth.check_credentials(content, self._settings)
            proven = self._settings.proves_sender
            if old_password:
                self._note_previous("password")
            auth.check_account(content, self._settings)
            return messages.validate(content, arrived=arrived, request_id=request_id())
        except RefusalError as refusal:
            # A password that is wrong is no proof of sender, whatever token came with it.
            refusal.proven = proven and refusal.answer.status != 401
            if refusal.proven:
                data = _readable(raw, content, refusal, self._secrets)
                self._keep_refused(data, refusal, arrived)
            raise

    def _keep(self, message: messages.Message) -> bool:
        try:
            return self._queue.put(message)
        except RefusalError as refusal:
            refusal.proven = True
            raise

    def _note_previous(self, secret: str) -> None:
        """Tells that a secret which is being replaced is still in use, and so cannot go yet."""
        metrics.count(metrics.PREVIOUS_SECRETS, secret)
        untold = self._throttle.passes(secret)
        if untold is not None:
            setting = f"CALLBACK_{secret.upper()}_PREVIOUS"
            log.warning("sender still uses the previous secret", setting=setting, untold=untold)

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
    settings: Settings,
    queue: Queue,
    readiness: Readiness,
    now: Callable[[], datetime],
    clock: Callable[[], float],
) -> Blueprint:
    """The routes of the public port.

    Every path but the two health checks goes one way, so that a wrong token and a wrong path cannot
    be told apart.
    """
    views = Blueprint("public", __name__)
    endpoint = Endpoint(settings, queue, now, clock)

    @views.get("/healthz", provide_automatic_options=False)
    def alive() -> Response:
        return jsonify(status="alive")

    @views.get("/readyz", provide_automatic_options=False)
    def ready() -> Response:
        return jsonify(status="ready", keeper=readiness.check())

    @views.route("/healthz", methods=METHODS[2:], provide_automatic_options=False)
    @views.route("/readyz", methods=METHODS[2:], provide_automatic_options=False)
    def only_asked() -> Response:
        raise RefusalError("method-not-allowed")

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
    response = jsonify(refusal.problem())
    response.status_code = answer.status
    response.mimetype = "application/problem+json"
    if answer.status == 405:
        response.headers["Allow"] = "GET, HEAD" if request.path in RESERVED_PATHS else "POST"
    if answer.status == 503:
        # The provider's second attempt has been seen 1.2 to 1.7 s after the first, on a sibling
        # service; it is not known whether it reads this.
        response.headers["Retry-After"] = "1"
    return response


def _path(incoming: Request) -> str:
    # Werkzeug's own takes several slashes at the beginning for one.
    raw: str = incoming.environ["PATH_INFO"]
    return raw.encode("latin-1").decode(errors="replace")


def _forwarded_for(incoming: Request) -> list[str]:
    # An empty entry counts: were it skipped, one that anybody can forge would move into its place.
    header = incoming.headers.get("X-Forwarded-For")
    return header.split(",") if header is not None else []


def _readable(
    raw: bytes,
    content: Mapping[str, Any] | None,
    refusal: RefusalError,
    secrets: Iterable[Secret],
) -> str:
    """A refused body without the credentials: what was parsed of it, if it was, else its text."""
    if content is not None:
        return payload.serialize(payload.without_credentials(content)).decode()
    # Of what is compressed nothing can be shown that a password could not be unpacked from.
    return "" if refusal.reason == "compressed" else redact_raw(raw, secrets)


def _shown(text: str | None) -> str | None:
    """What a sender wrote, fit for a line on a terminal: short, and without control characters."""
    text = text and text[:SHOWN]
    if not text or text.isprintable():
        return text
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
