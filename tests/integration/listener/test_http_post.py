"""`send-test`'s request on real sockets: whatever the other side does is an answer or a sentence, in time."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from listener.cli.test_message.http_post import MAX_BODY_BYTES, NoAnswerError, send
from testbed.ports import free_port
from tests.support.certificates import make_certificate, server_context


@pytest.fixture(autouse=True)
def without_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@contextmanager
def serving(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of a server that does this with its first connection, and closes it."""

    def work() -> None:
        connection, _ = listening.accept()
        with connection, suppress(OSError):
            serve(connection)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(10)


def replying(reply: bytes) -> Callable[[socket.socket], None]:
    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(reply)

    return serve


def post(url: str, timeout_s: float = 5) -> str:
    """The sentence."""
    with pytest.raises(NoAnswerError) as raised:
        send(url, timeout_s=timeout_s, headers={}, body=b"{}")
    return str(raised.value)


def test_answer_of_any_status_is_returned_as_it_is() -> None:
    reply = b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 2\r\n\r\nno"
    with serving(replying(reply)) as port:
        answer = send(f"http://127.0.0.1:{port}/", timeout_s=5, headers={"X-A": "b"}, body=b"{}")
    assert (answer.status, answer.headers["location"], answer.body) == (302, "/x", b"no")
    assert 0 < answer.seconds < 5


def test_long_answer_is_read_in_part() -> None:
    body = b"x" * (2 * MAX_BODY_BYTES)
    with serving(replying(b"HTTP/1.1 200 OK\r\n\r\n" + body)) as port:
        answer = send(f"http://127.0.0.1:{port}/", timeout_s=5, headers={}, body=b"{}")
    assert len(answer.body) == MAX_BODY_BYTES


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (b"", "closed the connection without an answer"),
        (
            b"220 mail.example.com ESMTP\r\n",
            "answered, but not in whole and valid HTTP (BadStatusLine)",
        ),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200, "answered, but not in whole and valid HTTP"),
    ],
)
def test_other_protocol_is_a_sentence(reply: bytes, says: str) -> None:
    with serving(replying(reply)) as port:
        assert says in post(f"http://127.0.0.1:{port}/cb")


@pytest.mark.parametrize("drip", [False, True])
def test_server_that_never_ends_its_answer_is_left_in_time(drip: bool) -> None:
    ended = threading.Event()

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not ended.wait(0.05):
            if drip:
                connection.sendall(b"x")

    with serving(serve) as port:
        started = time.monotonic()
        assert "no answer" in post(f"http://127.0.0.1:{port}/cb", timeout_s=0.5)
        assert time.monotonic() - started < 5
        ended.set()


def test_place_where_nobody_listens_and_unknown_name_are_sentences() -> None:
    port = free_port()
    assert post(f"http://127.0.0.1:{port}/cb").startswith(f"nothing listens at 127.0.0.1:{port}")
    # A machine without IPv6 says so.
    assert f"[::1]:{port}" in post(f"http://[::1]:{port}/cb")
    assert post("https://no-such-host.invalid/cb").startswith(
        "the name no-such-host.invalid cannot be resolved: "
    )


def test_certificate_that_signs_itself_is_not_accepted(tmp_path: Path) -> None:
    context = server_context(make_certificate(tmp_path, "fota.example.com"))
    with serving(lambda it: context.wrap_socket(it, server_side=True).close()) as port:
        assert "not accepted: self-signed certificate" in post(f"https://127.0.0.1:{port}/cb")


def test_plain_http_where_tls_is_expected_is_a_sentence() -> None:
    with serving(replying(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        assert "Is that a port for https?" in post(f"https://127.0.0.1:{port}/cb")


def test_proxy_that_refuses_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(replying(b"HTTP/1.1 403 Forbidden\r\n\r\n")) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        says = post("https://fota.example.com/cb")
    assert "fota.example.com:443 cannot be reached: Tunnel connection failed: 403" in says


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "quic://[::1]:443", "corp://proxy"])
def test_proxy_of_an_unknown_kind_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    says = post("http://fota.example.com/cb")
    assert "cannot be reached: " in says, says
    assert "urlopen" not in says
