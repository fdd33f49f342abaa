"""Whoever answers (ThingSpace, a proxy, what DNS leads to) wants memory or time of the registrar: both are bounded.

Each attack is tried with statuses of every class, because libraries read the bodies of some of them on their own account,
and each status with a third of the attacks.
"""

import gzip
import socket
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache

import pytest

from registrar.errors import UnavailableError
from registrar.http.reply import Reply
from registrar.http.request import HttpSession, Timeouts, request
from registrar.public_url import probe
from tests.support.one_connection import server

LIMITS = Timeouts(connect_s=0.2, read_s=0.4)
# What an exchange may take beyond its limit on a busy machine. Without the bounds, each attack here lasts as long as
# the attacker likes, or takes hundreds of MiB.
ENOUGH_S = 10.0
ENOUGH_BYTES = 8 * 1024 * 1024
# The status and what belongs to it. A redirect's target is one that would be followed.
STATUSES = (
    "101 Switching Protocols\r\n",
    "103 Early Hints\r\n",
    "200 OK\r\n",
    "204 No Content\r\n",
    "206 Partial Content\r\n",
    "301 Moved\r\nLocation: /elsewhere\r\n",
    "302 Found\r\n",
    "303 See Other\r\nLocation: https://127.0.0.1:1/\r\n",
    "304 Not Modified\r\nLocation: /\r\n",
    "307 Again\r\nLocation: /elsewhere\r\n",
    "401 Unauthorized\r\nWWW-Authenticate: Basic\r\n",
    "404 Not Found\r\n",
    "407 Proxy\r\n",
    "503 Unavailable\r\nRetry-After: 1\r\n",
    "999 What\r\n",
)
MUCH = 64 * 1024
PIECE = b"x" * MUCH

Attack = Callable[[socket.socket, str, threading.Event], None]


SIZE = 64 * 1024 * 1024


def raw_deflate() -> bytes:
    compressor = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(bytes(SIZE)) + compressor.flush()


@cache
def gzipped() -> bytes:
    return gzip.compress(bytes(SIZE), 1)


# Each is some hundred KiB that become 64 MiB, made where it is needed: every process of the tests imports this.
BOMBS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "gzip": ("gzip", gzipped),
    "twice gzip": ("gzip, gzip", lambda: gzip.compress(gzipped())),
    "deflate": ("deflate", lambda: zlib.compress(bytes(SIZE), 1)),
    "raw deflate": ("deflate", raw_deflate),
    "many members": ("gzip", lambda: gzip.compress(bytes(SIZE // 64), 1) * 64),
    # What is not installed is not unpacked, and read like any body.
    "brotli": ("br", gzipped),
    "zstandard": ("zstd", gzipped),
}


def bomb(name: str, framing: str) -> Attack:
    encoding, pack = BOMBS[name]
    content = pack()

    def attack(connection: socket.socket, status: str, _over: threading.Event) -> None:
        connection.sendall(f"HTTP/1.1 {status}Content-Encoding: {encoding}\r\n".encode())
        if framing == "length":
            connection.sendall(b"Content-Length: %d\r\n\r\n" % len(content) + content)
        elif framing == "chunk":
            chunk = b"%x\r\n%b\r\n" % (len(content), content)
            connection.sendall(b"Transfer-Encoding: chunked\r\n\r\n" + chunk + b"0\r\n\r\n")
        else:
            connection.sendall(b"Connection: close\r\n\r\n" + content)
            connection.shutdown(socket.SHUT_WR)

    return attack


def without_end(head: bytes, piece: bytes, *, start: bytes = b"HTTP/1.1 STATUS") -> Attack:
    """Sends a head, and then a piece again and again, as fast as it is read."""

    def attack(connection: socket.socket, status: str, over: threading.Event) -> None:
        connection.sendall(start.replace(b"STATUS", status.encode()))
        connection.sendall(head)
        while not over.is_set():
            connection.sendall(piece)

    return attack


CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
FLOODS = {
    "body with a length": without_end(b"Content-Length: 2000000000\r\n\r\n", PIECE),
    "body without a length": without_end(b"\r\n", PIECE),
    "length that is none": without_end(b"Content-Length: -5\r\n\r\n", PIECE),
    "two lengths": without_end(b"Content-Length: 5\r\nContent-Length: 999999999\r\n\r\n", PIECE),
    "length of many digits": without_end(b"Content-Length: " + b"9" * 9999 + b"\r\n\r\n", PIECE),
    "chunks": without_end(CHUNKED, b"10000\r\n" + PIECE + b"\r\n"),
    "chunks of one byte": without_end(CHUNKED, b"1\r\nx\r\n" * 5000),
    "chunk of a huge size": without_end(CHUNKED + b"FFFFFFFFFFFF\r\n", PIECE),
    "size of a chunk": without_end(CHUNKED, b"0" * MUCH),
    "extension of a chunk": without_end(CHUNKED + b"1;", PIECE),
    "extension of each chunk": without_end(CHUNKED, b"1;" + PIECE[:60_000] + b"\r\nx\r\n"),
    "trailers": without_end(CHUNKED + b"0\r\n", b"X-More: " + PIECE[:60_000] + b"\r\n"),
    "line of a trailer": without_end(CHUNKED + b"0\r\n", PIECE),
    "length and chunks": without_end(b"Content-Length: 5\r\n" + CHUNKED + b"FFFFFF\r\n", PIECE),
    "headers": without_end(b"", b"X-More: y\r\n" * 1000),
    "long headers": without_end(b"", b"X-More: " + PIECE[:60_000] + b"\r\n"),
    "line of a header": without_end(b"X-More: ", PIECE),
    "folded header": without_end(b"X-More: y\r\n", b" " + PIECE[:60_000] + b"\r\n"),
    "as many long headers as are read": without_end(
        (b"X-More: " + PIECE[:60_000] + b"\r\n") * 98 + b"\r\n", PIECE
    ),
    "line of the status": without_end(b"", PIECE, start=b"HTTP/1.1 200 "),
    "no http": without_end(b"", bytes(MUCH), start=b""),
    "empty lines": without_end(b"", b"\r\n" * 10_000, start=b""),
    "interim answers": without_end(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, start=b""),
    "interim answers with headers": without_end(
        b"", b"HTTP/1.1 100 Continue\r\n" + b"X-More: y\r\n" * 90 + b"\r\n", start=b""
    ),
}
COMPRESSED = [(name, framing) for name in BOMBS for framing in ("length", "chunk", "close")]


def attacker(attack: Attack, status: str) -> AbstractContextManager[str]:
    return server(lambda connection, over: attack(connection, status, over))


def assert_bounded(attack: Attack, status: str) -> None:
    with attacker(attack, status) as url:
        session = HttpSession(LIMITS)
        began = time.monotonic()
        tracemalloc.start()
        try:
            reply: Reply | None = session.request("GET", url)
        except UnavailableError:
            # There was none, or none that can be read: as good.
            reply = None
        finally:
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            session.close()
        assert time.monotonic() - began < ENOUGH_S
    assert peak < ENOUGH_BYTES, f"{peak / 2**20:.0f} MiB"
    assert reply is None or reply.status == int(status[:3])


def two_statuses(number: int) -> tuple[str, str]:
    """Each attack comes with two statuses, and each status with several attacks."""
    return STATUSES[number % len(STATUSES)], STATUSES[(number + 7) % len(STATUSES)]


@pytest.mark.quick_cases(3)
@pytest.mark.parametrize(("name", "framing"), COMPRESSED)
def test_compressed_answer_is_unpacked_to_its_bound_whatever_its_status(
    name: str, framing: str
) -> None:
    attack = bomb(name, framing)
    for status in two_statuses(COMPRESSED.index((name, framing))):
        assert_bounded(attack, status)


@pytest.mark.quick_cases(2)
@pytest.mark.parametrize("name", FLOODS)
def test_answer_without_end_is_read_to_its_bound_whatever_its_status(name: str) -> None:
    for status in two_statuses(list(FLOODS).index(name)):
        assert_bounded(FLOODS[name], status)


@contextmanager
def many_addresses(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """A host name with two hundred addresses, of which none ever answers: its queue of connections is full."""
    resolve = socket.getaddrinfo
    with socket.socket() as full:
        full.bind(("0.0.0.0", 0))
        full.listen(0)
        port = full.getsockname()[1]

        def addresses(host: str, *rest: object, **more: object) -> object:
            if host != "many.example.com":
                return resolve(host, *rest, **more)  # type: ignore[arg-type]
            kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
            return [(*kind, (f"127.0.1.{number}", port)) for number in range(1, 201)]

        waiting = [socket.socket() for _ in range(4)]
        try:
            for one in waiting:
                one.setblocking(False)
                one.connect_ex(("127.0.0.1", port))
            monkeypatch.setattr(socket, "getaddrinfo", addresses)
            yield "many.example.com", port
        finally:
            for one in waiting:
                one.close()


def test_host_with_two_hundred_addresses_has_the_time_of_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with many_addresses(monkeypatch) as (host, port):
        began = time.monotonic()
        with pytest.raises(UnavailableError):
            request("GET", f"http://{host}:{port}/", LIMITS)
        assert probe._check_certificate(f"https://{host}:{port}/", 0.5) == []
        assert time.monotonic() - began < ENOUGH_S


def test_name_server_that_does_not_answer_costs_the_time_of_one_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over = threading.Event()
    resolve = socket.getaddrinfo

    def hang(host: str, *rest: object, **more: object) -> object:
        if host == "slow.example.com":
            over.wait(3 * ENOUGH_S)
            host = "127.0.0.1"
        return resolve(host, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    began = time.monotonic()
    try:
        with pytest.raises(UnavailableError) as caught:
            request("GET", "https://slow.example.com:1/", LIMITS)
        assert probe._addresses("https://slow.example.com:1/", 0.5) == []
        assert probe._check_certificate("https://slow.example.com:1/", 0.5) == []
        assert time.monotonic() - began < ENOUGH_S
    finally:
        over.set()
    assert (caught.value.reason, caught.value.sent) == ("timeout", False)


def test_proxy_whose_reply_to_connect_trickles_ends_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def trickle(connection: socket.socket, _status: str, over: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while not over.wait(0.02):
            connection.sendall(b"X-More: y\r\n")

    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    with attacker(trickle, "") as url, pytest.raises(UnavailableError, match="timeout"):
        monkeypatch.setenv("https_proxy", url)
        began = time.monotonic()
        request("GET", "https://elsewhere.example.com/", LIMITS)
    assert time.monotonic() - began < ENOUGH_S


def test_handshake_that_trickles_ends_in_time() -> None:
    def trickle(connection: socket.socket, _status: str, over: threading.Event) -> None:
        # A record of the handshake that announces 16 KiB.
        connection.sendall(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc")
        while not over.wait(0.02):
            connection.sendall(b"\0")

    with attacker(trickle, "") as url, pytest.raises(UnavailableError):
        began = time.monotonic()
        request("GET", url.replace("http:", "https:"), LIMITS)
    assert time.monotonic() - began < ENOUGH_S
    with attacker(trickle, "") as url:
        began = time.monotonic()
        assert probe._check_certificate(url.replace("http:", "https:"), 0.5) == []
    assert time.monotonic() - began < ENOUGH_S
