"""Requests through a proxy end in time, whatever the proxy or the server behind it does, and a proxy may speak TLS itself."""

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from registrar.errors import UnavailableError
from registrar.http.request import HttpSession, Timeouts
from registrar.public_url.probe import Probe
from registrar.settings import CREDENTIAL_NAMES, RegistrarSettings
from tests.support.certificates import make_certificate, server_context
from tests.support.connect_proxy import Address, accepting, connect_proxy, listening

# Reserved by RFC 2606: no name server knows it, only the proxy does.
HOST = "thingspace.invalid"
URL = f"https://{HOST}/api"
LIMITS = Timeouts(connect_s=0.5, read_s=0.5)
# What an exchange may take beyond its limit on a busy machine; without a deadline each of these lasts for ever.
ENOUGH_S = 10.0
Serve = Callable[[socket.socket], None]


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That of the server behind the proxy, trusted; no other setting of the environment is in force."""
    for name in ("NO_PROXY", "ALL_PROXY", "HTTPS_PROXY", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    path = make_certificate(tmp_path, HOST)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    return path


@contextmanager
def serving(serve: Serve) -> Iterator[Address]:
    with listening() as listener, accepting(listener, serve):
        yield listener.getsockname()


def over_tls(context: ssl.SSLContext, serve: Serve) -> Serve:
    def secure(client: socket.socket) -> None:
        with context.wrap_socket(client, server_side=True) as connection:
            connection.recv(65536)
            serve(connection)

    return secure


def reply(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


def silence(connection: socket.socket) -> None:
    # Until the client ends it.
    while connection.recv(65536):
        pass


def trickle(start: bytes, piece: bytes) -> Serve:
    def serve(connection: socket.socket) -> None:
        connection.sendall(start)
        while True:
            time.sleep(0.05)
            connection.sendall(piece)

    return serve


def took(session: HttpSession) -> tuple[float, UnavailableError]:
    began = time.monotonic()
    with contextlib.closing(session), pytest.raises(UnavailableError) as caught:
        session.request("GET", URL)
    return time.monotonic() - began, caught.value


@pytest.mark.parametrize(
    ("serve", "sent"),
    [
        (silence, True),
        (trickle(b"HTTP/1.1 200 OK\r\n", b"X-More: x\r\n"), True),
        (trickle(b"HTTP/1.1 200 OK\r\n\r\n", b"x"), True),
        (trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"x"), True),
        (None, False),
    ],
    ids=["silence", "head", "body without a length", "body", "handshake"],
)
def test_server_behind_a_proxy_ends_in_time(
    serve: Serve | None, sent: bool, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    behind = over_tls(server_context(certificate), serve) if serve else silence
    with serving(behind) as address, connect_proxy({f"{HOST}:443": address}) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        seconds, error = took(HttpSession(LIMITS))
    assert seconds < ENOUGH_S
    assert (error.reason, error.sent) == ("timeout", sent)
    assert proxy.targets == [f"{HOST}:443"]


@pytest.mark.parametrize(
    "serve", [silence, trickle(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n")], ids=["silence", "head"]
)
def test_proxy_that_does_not_connect_ends_in_time_and_nothing_was_sent(
    serve: Serve, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del certificate
    with serving(serve) as (host, port):
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:hidden@{host}:{port}")
        seconds, error = took(HttpSession(LIMITS))
    assert seconds < ENOUGH_S
    assert error.sent is False
    assert "hidden" not in f"{error} {error.detail}"


@pytest.fixture
def proxy_certificate(certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The certificate of a proxy that speaks TLS; the client trusts it beside the provider's."""
    folder = tmp_path / "proxy"
    folder.mkdir()
    made = make_certificate(folder, "localhost")
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(certificate.read_text() + made.read_text())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    return made


def test_proxy_may_speak_tls_itself(
    certificate: Path, proxy_certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = ("user", "p@ss word/%")
    with (
        serving(over_tls(server_context(certificate), reply)) as address,
        connect_proxy(
            {f"{HOST}:443": address}, login=login, tls=server_context(proxy_certificate)
        ) as proxy,
    ):
        # Written as a URL needs it.
        url = f"https://user:p%40ss%20word%2F%25@localhost:{proxy.port}"
        monkeypatch.setenv("HTTPS_PROXY", url)
        session = HttpSession(Timeouts(connect_s=5, read_s=5))
        with contextlib.closing(session):
            answer = session.request("GET", URL)
    assert (answer.status, answer.body) == (200, b"{}")
    assert proxy.targets == [f"{HOST}:443"]


def test_silence_behind_a_proxy_that_speaks_tls_ends_in_time(
    certificate: Path, proxy_certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        serving(over_tls(server_context(certificate), silence)) as address,
        connect_proxy({f"{HOST}:443": address}, tls=server_context(proxy_certificate)) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", f"https://localhost:{proxy.port}")
        seconds, error = took(HttpSession(LIMITS))
    assert seconds < ENOUGH_S
    assert error.reason == "timeout"


def test_probe_of_the_public_url_goes_through_the_proxy_as_well(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del certificate
    settings = RegistrarSettings.from_env(
        {
            "PUBLIC_URL": "https://public.invalid/cb",
            "CALLBACK_TOKEN": "token-of-the-tests-of-proxies",
            "THINGSPACE_ACCOUNTS": "0242078689-00001",
            **dict.fromkeys(CREDENTIAL_NAMES, "any"),
        }
    )
    # A proxy that leads nowhere: what is asked of it is enough.
    with connect_proxy({}) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        assert "proxy-refused: the proxy that HTTPS_PROXY names" in str(Probe(settings).check())
        assert proxy.targets == ["public.invalid:443"]
        monkeypatch.setenv("NO_PROXY", "public.invalid")
        assert "unknown-host" in str(Probe(settings).check())
        assert proxy.targets == ["public.invalid:443"]
