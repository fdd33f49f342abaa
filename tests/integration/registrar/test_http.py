"""A provider that trickles, floods or repeats what it was shown: an exchange ends all the same."""

import socket
import threading
import time

import pytest

from listener.settings.secret import Secret
from registrar.errors import RegistrarError, UnavailableError
from registrar.http.request import MAX_REPLY_BYTES, Timeouts, request
from registrar.settings import Timing
from registrar.thingspace.faults import raise_for_fault
from registrar.thingspace.requests import Call
from registrar.thingspace.transport import Transport
from tests.support.one_connection import Answer, server

LIMITS = Timeouts(connect_s=0.4, read_s=0.6)
# How late a busy machine may cut a connection. A limit twice as long as ours would fail the test.
SLACK_S = 0.9
HEAD = b"HTTP/1.1 200 OK\r\n"


def trickle(head: bytes, drop: bytes) -> Answer:
    def behave(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(head)
        while not over.wait(0.05):
            connection.sendall(drop)

    return behave


def flood(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(HEAD + b"Content-Length: 2000000000\r\n\r\n")
    while not over.is_set():
        connection.sendall(b"x" * 65536)


@pytest.mark.parametrize(
    "behave",
    [
        trickle(HEAD, b"X-More: b\r\n"),
        trickle(HEAD + b"Content-Length: 1000000\r\n\r\n", b"x"),
        trickle(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        trickle(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
        trickle(HEAD + b"Connection: close\r\n\r\n", b"x"),
    ],
    ids=["headers", "body", "chunks", "size-of-a-chunk", "without-length"],
)
def test_trickling_reply_is_cut_at_the_time_limit_of_the_exchange(behave: Answer) -> None:
    """Each byte comes in time, and all of them together do not."""
    with server(behave) as url:
        began = time.monotonic()
        with pytest.raises(UnavailableError, match="timeout"):
            request("GET", url, LIMITS)
        took_s = time.monotonic() - began
    assert LIMITS.total_s <= took_s < LIMITS.total_s + SLACK_S


def test_the_calls_of_the_provider_are_bounded_likewise() -> None:
    timing = Timing(connect_timeout_s=LIMITS.connect_s, read_timeout_s=LIMITS.read_s)
    with (
        server(trickle(HEAD + b"Content-Length: 9999\r\n\r\n", b" ")) as url,
        pytest.raises(UnavailableError) as caught,
    ):
        Transport(url, timing).send(Call("query", "GET", ""), {})
    assert (caught.value.reason, caught.value.sent) == ("timeout", True)


def test_an_answer_without_end_is_read_as_far_as_it_is_of_use() -> None:
    with server(flood) as url:
        reply = request("GET", url, Timeouts(5, 10))
    assert MAX_REPLY_BYTES < len(reply.body) <= 2 * MAX_REPLY_BYTES


def test_what_cannot_be_sent_is_an_error_of_the_tree() -> None:
    transport = Transport("http://127.0.0.1:1/api", Timing())
    for headers in ({"Authorization": "Bearer \u20ac"}, {"VZ-M2M-Token": "a\nb: c"}):
        with pytest.raises(UnavailableError) as caught:
            transport.send(Call("query", "GET", "/x"), headers)
        assert (caught.value.reason, caught.value.sent) == ("unsendable", False)


def test_tokens_that_the_provider_repeats_are_not_told() -> None:
    said = b'{"errorCode": "X", "errorMessage": "the-session of Bearer the-token for the-basic"}'

    def repeat(connection: socket.socket, _over: threading.Event) -> None:
        head = f"HTTP/1.1 403 No\r\nContent-Length: {len(said)}\r\n\r\n"
        connection.sendall(head.encode() + said)

    with server(repeat) as url:
        transport = Transport(url, Timing(), [Secret("the-basic")])
        shown = {"Authorization": "Bearer the-token", "VZ-M2M-Token": "the-session"}
        with pytest.raises(RegistrarError) as caught:
            raise_for_fault(transport.send(Call("query", "GET", ""), shown))
    assert caught.value.detail == "HTTP 403 X *** of *** for ***"
