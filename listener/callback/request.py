"""A request to the public port: its body (up to MAX_BODY_BYTES), path and headers, without secrets for hooks."""

import os
import re
from dataclasses import dataclass
from io import BytesIO
from typing import Any, cast

from flask import Request
from flask.globals import request_ctx

from listener.callback import current_span
from listener.callback.auth import NOT_AUTHENTICATED, Authentication
from listener.callback.ownership_probe import NONCE_HEADER
from listener.errors import MalformedRequestError, RequestTooLargeError
from listener.messages import trace_context
from listener.settings.parsers import RESERVED_PATHS

# What Flask, its hooks, and what instruments them see of every path but those of the health checks.
HIDDEN_PATH = "/***"
HIDDEN = "fota.hidden"
"""In the environ: a `Hidden`."""
# Some proxies send the whole URL in a header as well, and so the token.
URL_HEADERS = (
    *("HTTP_REFERER", "HTTP_X_ORIGINAL_URI", "HTTP_X_ORIGINAL_URL", "HTTP_X_REWRITE_URL"),
    *("HTTP_X_FORWARDED_URI", "HTTP_X_FORWARDED_PATH", "HTTP_X_ENVOY_ORIGINAL_PATH"),
    "HTTP_X_REQUEST_URI",
)
READ_SIZE = 64 * 1024
REQUEST_ID_PATTERN = re.compile(r"[A-Za-z0-9._~-]{1,128}")


@dataclass(frozen=True, slots=True, repr=False)
class Hidden:
    """The parts of a request that hold secrets: the token is in the path, the credentials are in the body.

    No tuple, and without a `repr` that shows anything: error reporters send what variables hold.
    """

    path: str
    body: Any


def hide(environ: dict[str, Any]) -> None:
    """Moves the path and the body of a request to where only `CallbackRequest` looks for them.

    Called before anything else sees the environ. Instrumentation puts the path into names and attributes of
    spans, and error reporters send the bodies of requests that failed.
    """
    path = environ["PATH_INFO"]
    environ[HIDDEN] = Hidden(path, environ["wsgi.input"])
    environ["PATH_INFO"] = shown = path if is_health_path(path) else HIDDEN_PATH
    environ["RAW_URI"] = environ["REQUEST_URI"] = shown
    environ["QUERY_STRING"] = ""
    environ["wsgi.input"] = BytesIO()
    environ["wsgi.input_terminated"] = True
    for name in URL_HEADERS:
        environ.pop(name, None)


def is_health_path(path: str) -> bool:
    """Whether a path is that of a health check, with a slash at its end or without."""
    return path.removesuffix("/") in RESERVED_PATHS


class CallbackRequest(Request):
    """Flask's request, with what the receiver needs of it."""

    authentication: Authentication = NOT_AUTHENTICATED
    """What the sender has proved so far."""

    @property
    def hidden_path(self) -> str:
        """The whole path as it was sent, decoded; no slash is removed. It may hold a token."""
        raw = self._hidden.path
        return raw if raw.isascii() else raw.encode("latin-1").decode(errors="replace")

    @property
    def request_id(self) -> str:
        """X-Request-Id if it is fit for a log line, else 32 random hexadecimal digits, the same each time."""
        # Python 3.11's cached_property takes a lock, which costs as much as the rest of this.
        if self._request_id is None:
            sent = self.environ.get("HTTP_X_REQUEST_ID", "")
            self._request_id = sent if REQUEST_ID_PATTERN.fullmatch(sent) else os.urandom(16).hex()
        return self._request_id

    _request_id: str | None = None

    @property
    def traceparent(self) -> str | None:
        """The trace context of the current span, if the receiver is traced, else of the header, if well-formed."""
        header = self.environ.get("HTTP_TRACEPARENT")
        return current_span.traceparent() or (trace_context.parse(header) if header else None)

    @property
    def forwarded_for(self) -> list[str]:
        """The addresses in X-Forwarded-For, in the order of the header.

        An empty one counts: were it skipped, one that anybody can forge would move into its place.
        """
        header = self.environ.get("HTTP_X_FORWARDED_FOR")
        return header.split(",") if header is not None else []

    @property
    def announced_bytes(self) -> int | None:
        """The length of the body, if Content-Length announces it."""
        # Werkzeug's own property costs ten times as much, for a header that the server has checked.
        header = self.environ.get("CONTENT_LENGTH", "")
        return int(header) if header.isdecimal() else None

    @property
    def probe_nonce(self) -> str | None:
        """What the registrar's probe of ownership sends to be answered."""
        return self.headers.get(NONCE_HEADER)

    @property
    def codings(self) -> tuple[str, str]:
        """The values of Content-Encoding and Transfer-Encoding."""
        environ = self.environ
        return environ.get("HTTP_CONTENT_ENCODING", ""), environ.get("HTTP_TRANSFER_ENCODING", "")

    def read_body(self, max_bytes: int) -> bytes:
        """The whole body, never more than the limit.

        Werkzeug's own limit would silently cut a chunked body off. The server's stream raises a `RefusalError`
        for a body that is slow, malformed, or mostly framing.

        Raises:
            RequestTooLargeError: the body is larger than `max_bytes`.
            RefusalError: `too-large`, `too-slow` or `bad-request`, of the server's stream.
            MalformedRequestError: the body ended early.
        """
        announced = self.announced_bytes
        wanted = max_bytes + 1 if announced is None else announced
        body = bytearray()
        while len(body) < wanted:
            part = self._hidden.body.read(min(READ_SIZE, wanted - len(body)))
            if not part:
                break
            body += part
            if len(body) > max_bytes:
                raise RequestTooLargeError
        if announced is not None and len(body) != announced:
            raise MalformedRequestError("the body is shorter than announced")
        return bytes(body)

    @property
    def _hidden(self) -> Hidden:
        hidden: Hidden = self.environ[HIDDEN]
        return hidden


def current_request() -> CallbackRequest:
    """The request that is being answered: the object itself, not Flask's proxy of it."""
    return cast(CallbackRequest, request_ctx.request)
