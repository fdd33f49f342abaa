"""A request's body as the application reads it: whole, or an error of `listener.errors`."""

import math
from collections.abc import Iterable

import pytest

from listener.errors import (
    MalformedRequestError,
    RefusalError,
    RequestTooLargeError,
    RequestTooSlowError,
)
from listener.server.client_connection import Connection, ConnectionLimiter
from listener.server.request_body import RequestBody
from listener.server.request_head import HeadLimits, read_head

CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


class FakeSocket:
    """Gives what was sent in pieces of the size that is asked for, then raises, or ends."""

    def __init__(self, sent: bytes, error: OSError | None) -> None:
        self._sent = sent
        self._error = error

    def settimeout(self, seconds: float) -> None: ...

    def recv(self, size: int) -> bytes:
        piece, self._sent = self._sent[:size], self._sent[size:]
        if not piece and self._error:
            raise self._error
        return piece


def receive(sent: bytes, error: OSError | None = None) -> tuple[RequestBody, Connection]:
    """The body of a request, and its connection."""
    connection = Connection(FakeSocket(sent, error), ConnectionLimiter(10, 10**9))
    connection.await_request(10.0)
    head = read_head(connection, HeadLimits(4094, 100, 8190))
    assert head is not None
    return RequestBody(connection, head.body_bytes), connection


def sized(content: bytes, announced: int | None = None) -> bytes:
    length = len(content) if announced is None else announced
    return b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (length, content)


def in_chunks(content: bytes, size: int, extension: bytes = b"") -> bytes:
    starts = range(0, len(content), size)
    parts = (content[start : start + size] for start in starts)
    framed = (b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts)
    return CHUNKED + b"".join(framed) + LAST_CHUNK


def pieces(stream: RequestBody, size: int) -> Iterable[bytes]:
    return iter(lambda: stream.read(size), b"")


@pytest.mark.parametrize(
    "sent",
    [sized(b"x" * 100_000), in_chunks(b"x" * 100_000, 70_000), in_chunks(b"x" * 100_000, 100)],
    ids=["sized", "large-chunks", "small-chunks"],
)
@pytest.mark.parametrize("size", [1_000, 16_384, 65_536, 10**7])
def test_body_is_read_whole_and_the_next_request_stays(sent: bytes, size: int) -> None:
    stream, connection = receive(sent + b"GET / HTTP/1.1\r\n\r\n")
    assert b"".join(pieces(stream, size)) == b"x" * 100_000
    assert (stream.unread, stream.drain()) == (0, True)
    assert connection.receive(100) == b"GET / HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        sized(b"{}", announced=3),
        sized(b"", announced=100_000),
        sized(b"x" * 99_999, announced=100_000),
        CHUNKED,
        CHUNKED + b"5\r\nab",
        CHUNKED + b"2\r\nab\r\n",
        CHUNKED + b"2\r\nab\r\n0\r\n",
        CHUNKED + b"zz\r\n",
        CHUNKED + b"2\r\nabc\r\n",
    ],
)
def test_body_that_ends_early_or_is_malformed_is_an_error_each_time(sent: bytes) -> None:
    stream, _ = receive(sent)
    for _ in range(2):
        with pytest.raises(MalformedRequestError):
            list(pieces(stream, 1024))
    assert (stream.unread, stream.drain()) == (math.inf, False)


@pytest.mark.parametrize(
    ("chunks", "detail"),
    [
        (b"zz\r\n", "Invalid character in chunk size"),
        (b"0\r\nHost: h\r\n\r\n", "a field that may not be a trailer"),
        (b"0\r\n" + b"X: y\r\n" * 101 + b"\r\n", "too many or too long trailers"),
    ],
)
def test_refusal_of_chunks_says_what_is_wrong_with_them(chunks: bytes, detail: str) -> None:
    stream, _ = receive(CHUNKED + chunks)
    with pytest.raises(MalformedRequestError) as caught:
        stream.read()
    assert caught.value.detail == detail


@pytest.mark.parametrize("sent", [sized(b"{", announced=2), CHUNKED + b"2\r\na"])
@pytest.mark.parametrize(
    ("error", "expected"),
    [(TimeoutError(), RequestTooSlowError), (ConnectionResetError(), MalformedRequestError)],
)
def test_error_of_the_socket_becomes_an_error_of_the_listener(
    sent: bytes, error: OSError, expected: type[RefusalError]
) -> None:
    stream, _ = receive(sent, error)
    with pytest.raises(expected):
        stream.read()
    assert stream.unread == math.inf


@pytest.mark.parametrize(
    "sent",
    [
        in_chunks(b"x" * 40_000, 1),
        in_chunks(b"x" * 10_000, 1, b";a=b"),
        in_chunks(b"x" * 1_000_000, 10),
        in_chunks(b"x" * 100, 1, b";a=" + b"b" * 1000),
    ],
    ids=["one-byte", "extensions", "many", "long-extensions"],
)
@pytest.mark.parametrize("size", [1024, 10**7])
def test_framing_above_its_limit_is_too_large_however_much_is_asked_for(
    sent: bytes, size: int
) -> None:
    stream, _ = receive(sent)
    with pytest.raises(RequestTooLargeError, match="framing"):
        list(pieces(stream, size))
    assert stream.drain() is False


@pytest.mark.parametrize(
    "sent",
    [
        in_chunks(b"x" * 10_000, 1),
        in_chunks(b"x" * 1_000_000, 100),
        in_chunks(b"x" * 4_000_000, 65_536),
    ],
)
def test_framing_within_its_limit_is_accepted(sent: bytes) -> None:
    stream, _ = receive(sent)
    assert set(stream.read()) == {ord("x")}


def test_lines_of_a_body_are_read_as_pep_3333_wants() -> None:
    stream, _ = receive(in_chunks(b"a\nb\nc", 2))
    assert list(stream) == [b"a\n", b"b\n", b"c"]


@pytest.mark.parametrize(("size", "drained"), [(0, True), (65_536, True), (65_537, False)])
def test_only_a_short_unread_body_is_drained(size: int, drained: bool) -> None:
    stream, _ = receive(sized(b"x" * size))
    assert stream.drain() is drained


def test_unread_chunks_are_not_drained() -> None:
    stream, _ = receive(in_chunks(b"x", 1))
    assert stream.drain() is False
