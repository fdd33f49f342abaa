"""Errors of the machine around the registrar: each is one of the error tree, names its cause, and sends nothing."""

import http.server
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from registrar.errors import UnavailableError
from registrar.http.failures import translate
from registrar.http.request import HttpSession, Timeouts
from registrar.settings import Timing
from registrar.thingspace.requests import Call
from registrar.thingspace.transport import Transport
from testbed.programs import find_program

LIMITS = Timeouts(connect_s=1.0, read_s=5.0)
HTTPS = "https://127.0.0.1:1/api"
CALL = Call("query", "GET", "/x")


class Recorder(http.server.BaseHTTPRequestHandler):
    """Answers everything, keeps connections, and records them."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        self.server.seen.append((self.client_address[1], dict(self.headers)))
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        for name, value in self.server.more.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.server.body)

    def do_CONNECT(self) -> None:
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        """Nothing: the tests look at what was recorded."""


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    status, body, more = 200, b"{}", {"Set-Cookie": "a=b"}

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), Recorder)
        self.seen: list[tuple[int, dict[str, str]]] = []

    def handle_error(self, *_: Any) -> None:
        """A client that refuses our certificate is what the tests are about."""

    @property
    def port(self) -> int:
        return int(self.server_address[1])


@contextmanager
def serving(context: ssl.SSLContext | None = None, port: int = 0) -> Iterator[Server]:
    with Server(port) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


def failure(url: str = HTTPS, **headers: str) -> UnavailableError:
    transport = Transport(url, Timing(connect_timeout_s=1.0, read_timeout_s=2.0))
    try:
        with pytest.raises(UnavailableError) as caught:
            transport.send(CALL, headers)
    finally:
        transport.close()
    assert caught.value.sent is False
    return caught.value


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificate_bundle_that_cannot_be_used_is_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate")
    for path, why in ((tmp_path / "gone.pem", "No such file"), (empty, "no certificate")):
        monkeypatch.setenv(name, str(path))
        with serving() as server:
            error = failure(f"https://127.0.0.1:{server.port}/api")
        assert error.reason == "certificates-unreadable"
        assert f"{name} names {path}" in error.detail
        assert why in error.detail


@pytest.mark.parametrize(
    ("proxy", "reason", "says"),
    [
        ("socks5://127.0.0.1:1080", "proxy-unusable", "SOCKS"),
        ("socks4a://127.0.0.1:1080", "proxy-unusable", "SOCKS"),
        ("http://[broken", "proxy-unusable", "not the URL of"),
        ("ftp://127.0.0.1:21", "proxy-unusable", "not the URL of"),
        ("http://:3128", "proxy-unusable", "not the URL of"),
        ("http://127.0.0.1:nothing", "proxy-unusable", "not the URL of"),
        ("http://user:hidden@127.0.0.1:1", "proxy-unreachable", "Connection refused"),
        ("http://does-not-exist.invalid:3128", "proxy-unreachable", ""),
    ],
)
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_proxy_that_cannot_be_used_is_named_by_its_variable(
    name: str, proxy: str, reason: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, proxy)
    error = failure()
    assert (error.reason, name in error.detail, says in error.detail) == (reason, True, True)
    assert "hidden" not in error.detail


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_proxy_never_sees_credentials_in_clear(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as proxy, serving() as thingspace:
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        transport = Transport(f"http://localhost:{thingspace.port}/api", Timing())
        reply = transport.send(CALL, {"Authorization": "Basic c2VjcmV0"})
        transport.close()
    assert (len(proxy.seen), len(thingspace.seen), reply.status) == (0, 1, 200)


def test_proxy_that_wants_credentials_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as proxy:
        proxy.status = 407
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        error = failure()
    assert (error.reason, "HTTPS_PROXY" in error.detail) == ("proxy-refused", True)
    assert "407 Proxy Authentication Required" in error.detail


def certificate(folder: Path, name: str) -> ssl.SSLContext:
    openssl = find_program("openssl")
    both = folder / "both.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=x"
    extra = ["-addext", f"subjectAltName={name}", "-keyout", str(both), "-out", str(folder / "c")]
    subprocess.run([openssl, *words.split(), *extra], check=True, capture_output=True)
    both.write_text(both.read_text() + (folder / "c").read_text())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(both)
    return context


def test_certificate_that_is_refused_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(certificate(tmp_path, "DNS:elsewhere.example.com")) as server:
        url = f"https://127.0.0.1:{server.port}/api"
        error = failure(url)
        assert (error.reason, "self-signed" in error.detail) == ("certificate-refused", True)
        assert "REQUESTS_CA_BUNDLE" in error.detail
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "c"))
        error = failure(url)
        assert (error.reason, "mismatch" in error.detail) == ("certificate-refused", True)
        assert server.seen == []


def test_certificate_out_of_its_time_shows_the_clock_of_this_machine() -> None:
    for text in ("certificate has expired", "certificate is not yet valid"):
        cause = ssl.SSLCertVerificationError(1, "CERTIFICATE_VERIFY_FAILED")
        cause.verify_message = text
        error = translate(requests.exceptions.SSLError(cause), HTTPS, sent=False)
        assert error.reason == "certificate-refused"
        assert error.detail.startswith(f"{text} (this machine's clock says 20")


def test_server_that_speaks_no_tls_is_told_from_one_that_is_down() -> None:
    with serving() as server:
        assert failure(f"https://127.0.0.1:{server.port}/api").reason == "tls-failed"
    assert failure().reason == "unreachable"
    assert "Connection refused" in failure().detail


@pytest.mark.parametrize("cut", [True, False], ids=["cut", "hang"])
def test_connection_that_ends_during_the_tls_handshake_has_sent_nothing(cut: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                # The client gives up on its own, or is cut here.
                cut or connection.recv(65536)

        thread = threading.Thread(target=accept)
        thread.start()
        error = failure(f"https://127.0.0.1:{listening.getsockname()[1]}/api")
        thread.join()
    assert error.reason in ({"unreachable", "tls-failed"} if cut else {"timeout"})


def test_name_that_cannot_be_resolved_is_named() -> None:
    error = failure("https://does-not-exist.invalid/api")
    assert (error.reason, "does-not-exist.invalid" in error.detail) == ("unknown-host", True)


def test_netrc_and_cookies_change_no_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with serving() as server:
        transport = Transport(f"http://127.0.0.1:{server.port}", Timing())
        for _ in range(2):
            transport.send(CALL, {"Authorization": "Bearer ours"})
        transport.close()
        headers = [headers for _, headers in server.seen]
    assert [one["Authorization"] for one in headers] == ["Bearer ours"] * 2
    assert not any("Cookie" in one for one in headers)


def test_calls_that_follow_each_other_share_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as server:
        session = HttpSession(LIMITS)
        for _ in range(3):
            session.request("GET", f"http://127.0.0.1:{server.port}/")
        assert len({port for port, _ in server.seen}) == 1
        # One that was idle may be closed by the server at this very moment.
        monkeypatch.setattr("registrar.http.request.MAX_IDLE_S", -1.0)
        session.request("GET", f"http://127.0.0.1:{server.port}/")
        session.close()
        assert len({port for port, _ in server.seen}) == 2


def test_kept_connection_is_cut_in_time_as_well() -> None:
    with serving() as server:
        session = HttpSession(Timeouts(0.2, 0.3))
        session.request("GET", f"http://127.0.0.1:{server.port}/")
        answered = threading.Event()
        server.more = {"X-Endless": "x"}
        recorder = Recorder.do_GET

        def trickle(self: Recorder) -> None:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while not answered.wait(0.02):
                self.wfile.write(b"X-More: b\r\n")

        Recorder.do_GET = trickle  # type: ignore[method-assign]
        try:
            began = time.monotonic()
            with pytest.raises(UnavailableError, match="timeout"):
                session.request("GET", f"http://127.0.0.1:{server.port}/")
            assert time.monotonic() - began < 10
        finally:
            Recorder.do_GET = recorder  # type: ignore[method-assign]
            answered.set()
            session.close()


def test_body_of_a_redirect_is_bounded_like_any_other() -> None:
    with serving() as server:
        server.status, server.body = 302, b"x" * 4_000_000
        server.more = {"Location": "http://127.0.0.1:1/"}
        session = HttpSession(LIMITS)
        reply = session.request("GET", f"http://127.0.0.1:{server.port}/")
        session.close()
    assert reply.status == 302
    assert len(reply.body) <= 2 * 1024 * 1024


@contextmanager
def dead_address() -> Iterator[int]:
    """A port of 127.0.0.2 that answers nobody: its queue is full."""
    with socket.create_server(("127.0.0.2", 0), backlog=0) as listening:
        port = listening.getsockname()[1]
        waiting = [socket.socket() for _ in range(8)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.2", port))
        try:
            yield port
        finally:
            for one in waiting:
                one.close()


def test_host_of_which_addresses_are_dead_costs_its_timeout_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = socket.getaddrinfo

    def resolve(host: str, port: int, *rest: Any, **more: Any) -> Any:
        if host != "several.example.com":
            return found(host, port, *rest, **more)
        dead, alive = ("127.0.0.2", port), ("127.0.0.1", port)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", one) for one in (dead, dead, alive)]

    with dead_address() as port, serving(port=port) as server:
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        session = HttpSession(LIMITS)
        began = time.monotonic()
        for _ in range(5):
            session.request("GET", f"http://several.example.com:{port}/")
        took = time.monotonic() - began
        session.close()
    assert len(server.seen) == 5
    # Five calls would wait five times for a second.
    assert took < 4
