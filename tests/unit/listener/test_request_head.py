"""The head of a request: what is read from it, and what is refused although llhttp accepts it."""

from typing import Any

import pytest

from listener.errors import MalformedRequestError, RefusalError, RequestTooLargeError
from listener.server.client_connection import Connection, ConnectionLimiter
from listener.server.request_head import (
    MAX_HEAD_BYTES,
    HeadLimits,
    RequestHead,
    read_head,
)

LIMITS = HeadLimits(line_bytes=4094, fields=100, field_bytes=8190)
NO_LIMITS = HeadLimits(line_bytes=0, fields=10**6, field_bytes=0)
LINE = b"POST /a HTTP/1.1\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
UPGRADE = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"


class FakeSocket:
    """Gives what was sent in pieces of one size, then the end."""

    def __init__(self, sent: bytes, size: int) -> None:
        self._sent = sent
        self._size = size

    def settimeout(self, seconds: float) -> None: ...

    def recv(self, size: int) -> bytes:
        size = min(size, self._size)
        piece, self._sent = self._sent[:size], self._sent[size:]
        return piece


def connected(sent: bytes, size: int = 2**20) -> Connection:
    connection = Connection(FakeSocket(sent, size), ConnectionLimiter(10, 10**9))
    connection.await_request(10.0)
    return connection


def read(sent: bytes, size: int = 2**20, limits: HeadLimits = LIMITS) -> RequestHead:
    head = read_head(connected(sent, size), limits)
    assert head is not None
    return head


def received_whole(connection: Connection) -> bytes:
    return b"".join(iter(lambda: connection.receive(1000), b""))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 2**20])
def test_head_is_the_same_in_any_pieces_and_what_follows_it_stays(size: int) -> None:
    connection = connected(
        b"\r\nPOST /c%C3%A4/b?q=1#x HTTP/1.1\r\nHost: h\r\nContent-length:  3 \r\nContent-Type: a/b\r\n"
        b"X-Forwarded-For:192.0.2.1\t\r\nx-forwarded-for: 192.0.2.2\r\nX-Empty:\r\nX_Forwarded_For: 1\r\n"
        b"X-Latin: \xe9\r\n" + b"x" * 100 + b": l\r\n\r\nabcGET / HTTP/1.1\r\n\r\n",
        size,
    )
    assert read_head(connection, LIMITS) == RequestHead(
        method="POST",
        target="/c%C3%A4/b?q=1#x",
        path="/c%C3%A4/b",
        query="q=1",
        version="1.1",
        fields={
            "HTTP_HOST": "h",
            "CONTENT_LENGTH": "3",
            "CONTENT_TYPE": "a/b",
            "HTTP_X_FORWARDED_FOR": "192.0.2.1,192.0.2.2",
            "HTTP_X_EMPTY": "",
            "HTTP_X_LATIN": "\xe9",
            f"HTTP_{'X' * 100}": "l",
        },
        body_bytes=3,
        expects_continue=False,
        keeps_alive=True,
    )
    assert received_whole(connection) == b"abcGET / HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize("sent", [b"", b"\r\n", LINE, LINE + b"X: a\r\n"])
def test_client_that_ends_before_the_head_does_has_sent_no_request(sent: bytes) -> None:
    assert read_head(connected(sent), LIMITS) is None


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("//a//b", "//a//b", ""),
        ("/a?b?c#d?e", "/a", "b?c"),
        ("/a#b?c", "/a", ""),
        ("/a:b@c[d", "/a:b@c[d", ""),
        ("http://h:1/a?b#c", "/a", "b"),
        ("http://h", "", ""),
        ("x://", "", ""),
    ],
)
def test_target_is_split_into_path_and_query(target: str, path: str, query: str) -> None:
    head = read(f"GET {target} HTTP/1.1\r\n\r\n".encode())
    assert (head.target, head.path, head.query) == (target, path, query)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "M-SEARCH", "PROPFIND"])
def test_request_without_framing_has_no_body(method: str) -> None:
    head = read(f"{method} / HTTP/1.1\r\n\r\n".encode())
    assert (head.method, head.body_bytes) == (method, 0)


@pytest.mark.parametrize(
    ("framing", "body_bytes"),
    [
        (b"Content-Length: 7\r\n", 7),
        (b"Content-Length: 007\r\n", 7),
        (b"Content-Length: %b5\r\n" % (b"0" * 5000), 5),
        (b"Content-Length: %b\r\n" % (b"0" * 5000), 0),
        (b"Content-Length: %d\r\n" % 2**63, 2**63),
        (b"Content_Length: 7\r\n", 0),
        (CHUNKED, None),
        (b"transfer-encoding:\tCHUNKED \r\n", None),
        (b"Transfer-Encoding: gzip , chunked\r\n", None),
    ],
)
@pytest.mark.parametrize("more", [b"", UPGRADE], ids=["plain", "upgrade"])
def test_framing_of_the_body_is_known_from_the_head(
    framing: bytes, body_bytes: int | None, more: bytes
) -> None:
    assert read(LINE + more + framing + b"\r\n").body_bytes == body_bytes


@pytest.mark.parametrize(
    ("length", "key"), [("0", "0"), ("007", "7"), ("0" * 5000, "0"), ("0" * 5000 + "10", "10")]
)
def test_length_has_no_leading_zeros_in_the_environ(length: str, key: str) -> None:
    assert read(LINE + f"Content-Length: {length}\r\n\r\n".encode()).fields == {
        "CONTENT_LENGTH": key
    }


@pytest.mark.parametrize(
    ("head", "keeps_alive"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nConnection: x, Close\r\n\r\n", False),
        (b"POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: 2\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\n" + UPGRADE + b"\r\n", True),
        (b"GET / HTTP/1.0\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True),
        (b"CONNECT h:1 HTTP/1.1\r\n\r\n", False),
    ],
)
def test_client_says_whether_the_connection_is_kept(head: bytes, keeps_alive: bool) -> None:
    assert read(head).keeps_alive is keeps_alive


@pytest.mark.parametrize(
    ("version", "expectation", "expects"),
    [("1.1", "100-continue", True), ("1.1", "100-Continue", True), ("1.0", "100-continue", False)],
)
def test_expectation_counts_from_http_1_1_on(version: str, expectation: str, expects: bool) -> None:
    head = read(f"POST / HTTP/{version}\r\nExpect: {expectation}\r\n\r\n".encode())
    assert head.expects_continue is expects


@pytest.mark.parametrize(
    "sent",
    [
        b"\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        b"\nGET / HTTP/1.1\r\n\r\n",
        b"\rGET / HTTP/1.1\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / RTSP/1.0\r\n\r\n",
        b"SOURCE / ICE/1.0\r\n\r\n",
        b"GET / HTTP/0.9\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST * HTTP/1.1\r\n\r\n",
        b"GET http://[::1/ HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.0\r\n" + CHUNKED + b"\r\n",
        LINE + b"Transfer-Encoding: x, chunked\r\n\r\n",
        LINE + b"Transfer-Encoding: ,chunked\r\n\r\n",
        LINE + UPGRADE + b"Transfer-Encoding: gzip\r\n\r\n",
        LINE + UPGRADE + b"Transfer-Encoding: xchunked\r\n\r\n",
        LINE + UPGRADE + CHUNKED + b"Content-Length: 1\r\n\r\n",
        LINE + UPGRADE + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
        LINE + b"Host: h\r\nHost: h\r\n\r\n",
        LINE + b"Host: h\r\nHost: h\r\nX: a\r\n\r\n",
        LINE + b"Content-Type: a\r\ncontent-type: a\r\n\r\n",
        LINE + b"Expect: x\r\n\r\n",
        LINE + b"Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n",
        LINE + b"X: a\r\n b\r\n\r\n",
        LINE + b"X: a\n\r\n",
        LINE + b"X: a\n\n",
    ],
)
@pytest.mark.parametrize("size", [1, 2**20])
def test_head_that_another_server_might_read_differently_is_refused(sent: bytes, size: int) -> None:
    with pytest.raises(MalformedRequestError):
        read(sent, size)


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        (b"Host: h\r\nHost: h\r\nX: a\r\n", "a field with one value is repeated"),
        (b"Host: h\r\nHost: h\r\n", "a field with one value is repeated"),
        (b"X Y\r\n", "Invalid header token"),
    ],
)
def test_refusal_has_its_own_detail_whoever_found_the_mistake(fields: bytes, detail: str) -> None:
    with pytest.raises(MalformedRequestError) as caught:
        read(LINE + fields + b"\r\n")
    assert caught.value.detail == detail


@pytest.mark.parametrize("sent", [b"\x16\x03\x01", b"EHLO", LINE + b"X Y", LINE + b"X: \x00"])
def test_malformed_beginning_is_refused_before_the_head_ends(sent: bytes) -> None:
    with pytest.raises(MalformedRequestError):
        read(sent)


def of_line(size: int) -> bytes:
    return b"GET /".ljust(size - 9, b"a") + b" HTTP/1.1\r\n\r\n"


def of_fields(number: int) -> bytes:
    return LINE + b"X: a\r\n" * number + b"\r\n"


def of_field(size: int) -> bytes:
    return LINE + b"X: ".ljust(size - 2, b"a") + b"\r\n\r\n"


@pytest.mark.parametrize(("make", "limit"), [(of_line, 4094), (of_fields, 100), (of_field, 8190)])
def test_head_may_have_its_limits_and_no_more(make: Any, limit: int) -> None:
    assert read(make(limit))
    assert read(make(limit + 1), limits=NO_LIMITS)
    with pytest.raises(RequestTooLargeError):
        read(make(limit + 1))


def test_whole_head_has_a_limit_whatever_the_others_are() -> None:
    fitting = LINE + b"X: a\r\n" * ((MAX_HEAD_BYTES - len(LINE) - 2) // 6) + b"\r\n"
    assert read(fitting, limits=NO_LIMITS)
    for rest in (b"X: abcdef\r\n\r\n", b"X: " + b"a" * MAX_HEAD_BYTES):
        with pytest.raises(RequestTooLargeError):
            read(fitting[:-2] + rest, limits=NO_LIMITS)


@pytest.mark.parametrize("length", ["9" * 20, "9" * 5000, "0" * 5000 + "9" * 20])
def test_length_beyond_64_bits_is_too_large(length: str) -> None:
    with pytest.raises(RefusalError) as caught:
        read(LINE + f"Content-Length: {length}\r\n\r\n".encode())
    assert caught.value.reason == "too-large"
