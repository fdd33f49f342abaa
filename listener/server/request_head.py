"""A request's head: received from the connection, parsed by llhttp, and refused where llhttp is too lenient (ADR 23)."""

import re
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from listener.errors import MalformedRequestError, RefusalError, RequestTooLargeError
from listener.server.client_connection import Connection

EMPTY_LINE = b"\r\n\r\n"
# llhttp limits nothing.
MAX_HEAD_BYTES = 64 * 1024
READ_SIZE = 8192
VERSIONS = ("1.0", "1.1")
# A body whose codings are these has a known end. The application refuses all but the last.
CODINGS = re.compile(
    r"((compress|deflate|gzip|identity)[ \t]*,[ \t]*)*chunked", re.IGNORECASE | re.ASCII
)
# RFC 9110 section 5.3: these fields have one value, so a second line is ambiguous.
SINGLE_FIELDS = frozenset({"HTTP_HOST", "CONTENT_TYPE"})
# Field names whose keys are remembered, and their greatest length: a client can send any.
MAX_REMEMBERED_NAMES = 256
MAX_REMEMBERED_LENGTH = 64
# llhttp reports it as an error of form; such a body is only too large.
OVERFLOW = "Content-Length overflow"


class HeadLimits(NamedTuple):
    """The greatest sizes within a head. 0 bytes mean no limit but that of the whole head."""

    line_bytes: int
    """Of the request line, without its line break."""
    fields: int
    field_bytes: int
    """With the line break."""


class RequestHead(NamedTuple):
    """A head that is well-formed, and of a request whose end can be found."""

    method: str
    target: str
    """As it was sent, in ASCII."""
    path: str
    """The target's path, still percent-encoded; empty in some targets of CONNECT and in absolute form."""
    query: str
    version: str
    """`1.0` or `1.1`."""
    fields: dict[str, str]
    """By their keys in a WSGI environ, in Latin-1; repeated ones are joined by commas. Names with `_` are dropped.

    Content-Length has no leading zeros, and so at most 20 digits.
    """
    body_bytes: int | None
    """None: the body is chunked."""
    expects_continue: bool
    keeps_alive: bool
    """Whether the client lets the connection be used again."""


def read_head(connection: Connection, limits: HeadLimits) -> RequestHead | None:
    """The head of the next request, or None if the client ends the connection before it is complete.

    Exactly the head is taken from the connection. A malformed one is refused as soon as llhttp refuses its
    beginning, at the latest at its end.

    Raises:
        MalformedRequestError: the head is malformed, or the end of its body cannot be found for certain.
        RequestTooLargeError: the head exceeds a limit.
        TimeoutError: the deadline of the request has passed.
    """
    events = _HeadEvents(limits.fields)
    events.parser = HttpRequestParser(events)
    try:
        head = _receive(connection, events.parser)
        return None if head is None else _checked(head, events, limits)
    except HttpParserError as error:
        if str(error) == OVERFLOW:
            raise RequestTooLargeError from error
        raise MalformedRequestError(parser_detail(error)) from error
    finally:
        # The parser refers to the events as well, and a cycle would await a collection.
        events.parser = None


def parser_detail(error: HttpParserError) -> str:
    """What is wrong, for the log: llhttp's words, or those of the callback that refused, which httptools wraps."""
    refusal = error.__context__
    return refusal.detail if isinstance(refusal, RefusalError) else str(error)


class _HeadEvents:
    """Collects what llhttp finds in a head; httptools calls the methods `on_…`."""

    def __init__(self, max_fields: int) -> None:
        self._max_fields = max_fields
        self.parser: Any = None
        self.target = b""
        self.fields: dict[str, str] = {}
        self.field_count = 0
        self.is_complete = False
        self.keeps_alive = False

    def on_url(self, part: bytes) -> None:
        self.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self.field_count += 1
        if self.field_count > self._max_fields:
            # The head is refused at its end.
            return
        find_key = _remembered_key if len(name) <= MAX_REMEMBERED_LENGTH else _environ_key
        if (key := find_key(name)) is None:
            return
        text = value.decode("latin-1").rstrip(" \t")
        if key in self.fields:
            if key in SINGLE_FIELDS:
                raise MalformedRequestError("a field with one value is repeated")
            text = f"{self.fields[key]},{text}"
        self.fields[key] = text

    def on_headers_complete(self) -> None:
        self.is_complete = True
        # Only known now: llhttp forgets it at the end of a request without a body.
        self.keeps_alive = self.parser.should_keep_alive()


def _receive(connection: Connection, parser: HttpRequestParser) -> bytes | None:
    """A whole head, which the parser has read."""
    head = b""
    parsed = 0
    while data := connection.receive(READ_SIZE):
        head += data
        found = head.find(EMPTY_LINE, max(parsed - 3, 0))
        end = len(head) if found < 0 else found + len(EMPTY_LINE)
        if end > MAX_HEAD_BYTES:
            raise RequestTooLargeError("the head")
        try:
            parser.feed_data(head[parsed:end])
        except HttpParserUpgrade:
            # At the head's end, if it has Upgrade or CONNECT. The service stays with HTTP/1.1.
            pass
        if found >= 0:
            connection.unread(head[end:])
            return head[:end]
        parsed = end
    return None


def _checked(head: bytes, events: _HeadEvents, limits: HeadLimits) -> RequestHead:
    fields = events.fields
    method, target, version = _request_line(head, events, limits)
    path, query = _split_target(target, method)
    expectation = fields.get("HTTP_EXPECT")
    if expectation is not None and expectation.lower() != "100-continue":
        raise MalformedRequestError("an unknown expectation")
    return RequestHead(
        *(method, target, path, query, version, fields),
        body_bytes=_body_bytes(fields, version),
        # RFC 9110 section 10.1.1: it is ignored in HTTP/1.0.
        expects_continue=expectation is not None and version != "1.0",
        # RFC 9931 section 8: what follows a CONNECT is no request.
        keeps_alive=events.keeps_alive and method != "CONNECT",
    )


def _request_line(head: bytes, events: _HeadEvents, limits: HeadLimits) -> tuple[str, str, str]:
    """Method, target and version, after all checks of lines and their sizes."""
    if not events.is_complete:
        # Nothing but line breaks.
        raise MalformedRequestError("no request line")
    method, version = events.parser.get_method(), events.parser.get_http_version()
    line = b"%b %b HTTP/%b\r\n" % (method, events.target, version.encode())
    # RFC 9112 section 2.2: an empty line may precede a request.
    head = head.removeprefix(b"\r\n")
    # llhttp also takes more empty lines and spaces, RTSP, ICE, HTTP/0.9 and HTTP/2.0.
    if version not in VERSIONS or not head.startswith(line):
        raise MalformedRequestError("the request line is not that of HTTP/1.0 or 1.1")
    if head.count(b"\n") != events.field_count + 2:
        raise MalformedRequestError("a line is not a field")
    _check_sizes(head, len(line), events.field_count, limits)
    return method.decode(), events.target.decode("ascii"), version


def _check_sizes(head: bytes, line_bytes: int, fields: int, limits: HeadLimits) -> None:
    if line_bytes - 2 > limits.line_bytes > 0:
        raise RequestTooLargeError("the request line")
    if fields > limits.fields:
        raise RequestTooLargeError("the number of fields")
    if len(head) > limits.field_bytes > 0:
        lines = head[line_bytes:].split(b"\r\n")
        if max(map(len, lines)) + 2 > limits.field_bytes:
            raise RequestTooLargeError("a field")


def _split_target(target: str, method: str) -> tuple[str, str]:
    """Path and query; the fragment, which no client should send, is dropped."""
    if target.startswith("/"):
        path, _, query = target.partition("#")[0].partition("?")
        return path, query
    if target == "*" and method != "OPTIONS":
        raise MalformedRequestError("a target of OPTIONS alone")
    try:
        parts = urlsplit(target)
    except ValueError as error:
        raise MalformedRequestError("the target is no URL") from error
    return parts.path, parts.query


def _body_bytes(fields: dict[str, str], version: str) -> int | None:
    coding = fields.get("HTTP_TRANSFER_ENCODING")
    if coding is None:
        return _content_length(fields)
    # llhttp judges only the last coding, and in HTTP/1.0 or if the request asks for an upgrade not even that.
    if version == "1.0" or not CODINGS.fullmatch(coding):
        raise MalformedRequestError("the end of the body cannot be found")
    return None


def _content_length(fields: dict[str, str]) -> int:
    """Also removes the number's leading zeros.

    llhttp limits the number but not its zeros; Python converts no more than 4,300 digits, here or in the application.
    """
    if (digits := fields.get("CONTENT_LENGTH")) is None:
        return 0
    fields["CONTENT_LENGTH"] = digits = digits.lstrip("0") or "0"
    return int(digits)


def _environ_key(name: bytes) -> str | None:
    """The key of a field in the environ; None with `_`, because two names would then share a key."""
    if b"_" in name:
        return None
    key = name.decode("ascii").upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


_remembered_key = lru_cache(MAX_REMEMBERED_NAMES)(_environ_key)
