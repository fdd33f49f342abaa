"""The probe from outside: what it believes, and what it says of a URL that ThingSpace would refuse."""

import json
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import listener.callback.ownership_probe
from registrar.public_url.probe import Probe
from registrar.settings import RegistrarSettings
from testbed.programs import find_program

ENVIRON = {
    "CALLBACK_TOKEN": "callback-token-of-tests",
    "THINGSPACE_ACCOUNTS": "0242078689-00001",
    "THINGSPACE_KEY": "the-key",
    "THINGSPACE_SECRET": "the-secret",
    "THINGSPACE_USERNAME": "the-user",
    "THINGSPACE_PASSWORD": "the-password",
}
Answer = Callable[[str], tuple[int, bytes]]


class Outside:
    """A server that answers the probe as it is told to."""

    def __init__(self, answer: Answer, *, certificate: Path | None = None) -> None:
        self.answer = answer
        self.paths: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.paths.append(self.path)
                nonce = self.headers.get(listener.callback.ownership_probe.NONCE_HEADER, "")
                status, body = outer.answer(nonce)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
            self.scheme = "https"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server.server_address[1]}/cb"

    def settings(self, **chosen: str) -> RegistrarSettings:
        return RegistrarSettings.from_env({**ENVIRON, "PUBLIC_URL": self.url, **chosen})


@contextmanager
def outside(answer: Answer, certificate: Path | None = None) -> Iterator[Outside]:
    it = Outside(answer, certificate=certificate)
    thread = threading.Thread(target=it.server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield it
    finally:
        it.server.shutdown()
        it.server.server_close()
        thread.join()


def right(nonce: str) -> tuple[int, bytes]:
    """What this deployment's listener answers."""
    settings = RegistrarSettings.from_env({**ENVIRON, "PUBLIC_URL": "http://127.0.0.1/cb"})
    return 200, json.dumps(
        {"answer": listener.callback.ownership_probe.answer(nonce, settings.service)}
    ).encode()


def test_this_deployments_answer_is_believed() -> None:
    with outside(right) as it:
        assert Probe(it.settings()).check() is None
        assert it.paths == ["/cb/callback-token-of-tests"]


@pytest.mark.parametrize(
    ("status", "body", "problem"),
    [
        (200, b'{"answer": "%s"}' % (b"0123" * 16), "another deployment answered"),
        (200, b'{"answer": "0123"}', "HTTP 200 without an answer"),
        (200, '{"answer": "ä"}'.encode(), "HTTP 200 without an answer"),
        (200, b'{"answer": "\\ud800"}', "HTTP 200 without an answer"),
        (200, b'{"answer": 7}', "HTTP 200 without an answer"),
        (200, b"[]", "HTTP 200 without an answer"),
        (200, b"<html>", "HTTP 200 without an answer"),
        (302, b"", "HTTP 302 without an answer"),
        (404, b'{"reason": "not-found"}', "HTTP 404 without an answer"),
    ],
)
def test_any_other_answer_is_a_problem(status: int, body: bytes, problem: str) -> None:
    with outside(lambda _nonce: (status, body)) as it:
        assert str(Probe(it.settings()).check()).startswith(problem)


def test_nobody_there_is_a_problem_that_does_not_tell_the_token() -> None:
    with outside(right) as it:
        settings = it.settings()
    assert Probe(settings).check() == "no answer: unreachable: Connection refused"


def test_require_asks_until_it_passes() -> None:
    asked: list[str] = []

    def later(nonce: str) -> tuple[int, bytes]:
        asked.append(nonce)
        return right(nonce) if len(asked) > 3 else (502, b"")

    with outside(later) as it:
        waits: list[float] = []
        probe = Probe(it.settings(REGISTRAR_PROBE="require"))

        def wait(seconds: float) -> bool:
            waits.append(seconds)
            return False

        assert probe.wait_until_allowed(wait)
    assert waits == [1, 2, 4]
    assert len(set(asked)) == 4


def test_require_gives_up_when_the_process_is_to_stop() -> None:
    with outside(lambda _nonce: (502, b"")) as it:
        assert not Probe(it.settings(REGISTRAR_PROBE="require")).wait_until_allowed(
            lambda _seconds: True
        )


def test_warn_asks_once_and_goes_on() -> None:
    with outside(lambda _nonce: (502, b"")) as it:
        assert Probe(it.settings(REGISTRAR_PROBE="warn")).wait_until_allowed(lambda _seconds: False)
        assert len(it.paths) == 1


def test_off_asks_nobody() -> None:
    with outside(right) as it:
        assert Probe(it.settings(REGISTRAR_PROBE="off")).wait_until_allowed(lambda _seconds: False)
        assert it.paths == []


def test_each_thing_that_may_be_refused_is_told() -> None:
    with outside(right) as it:
        probe = Probe(it.settings(THINGSPACE_API_VERSIONS="v2"))
        checks = [warning.check for warning in probe.warnings()]
    assert checks == ["scheme", "port", "address"]


def test_a_host_that_does_not_exist_is_told() -> None:
    settings = RegistrarSettings.from_env(
        {**ENVIRON, "PUBLIC_URL": "http://does-not-exist.invalid/cb"}
    )
    assert [warning.check for warning in Probe(settings).warnings()] == ["scheme", "address"]


@pytest.mark.parametrize("host", ["a..example.com", f"{'a' * 70}.example.com"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_name_that_is_none_is_told(scheme: str, host: str) -> None:
    probe = Probe(RegistrarSettings.from_env({**ENVIRON, "PUBLIC_URL": f"{scheme}://{host}/cb"}))
    assert "address" in [warning.check for warning in probe.warnings()]
    assert str(probe.check()).startswith("no answer: ")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One that nobody vouches for and that lasts a week: with its key, and alone."""
    find_program("openssl")
    folder = tmp_path_factory.mktemp("certificate")
    both, alone = folder / "both.pem", folder / "alone.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "7"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", both, "-out", alone),
        ],
        check=True,
        capture_output=True,
    )
    both.write_text(both.read_text() + alone.read_text())
    return both, alone


def test_a_certificate_that_nobody_knows_is_told(certificate: tuple[Path, Path]) -> None:
    with outside(right, certificate[0]) as it:
        probe = Probe(it.settings())
        found = {warning.check: warning.problem for warning in probe.warnings()}
        assert "self-signed" in found["certificate"]
        assert str(probe.check()).startswith("no answer: certificate-refused: self-signed")


def test_certificate_list_that_is_not_there_is_named_by_its_variable(
    certificate: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(tmp_path / "gone.pem"))
    with outside(right, certificate[0]) as it:
        probe = Probe(it.settings())
        found = {warning.check: warning.problem for warning in probe.warnings()}
        assert found["certificate"].startswith("SSL_CERT_FILE names ")
        assert str(probe.check()).startswith("no answer: certificates-unreadable: REQUESTS_CA")


def test_a_known_certificate_that_expires_soon_is_told(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(certificate[1]))
    with outside(right, certificate[0]) as it:
        probe = Probe(it.settings())
        found = {warning.check: warning.problem for warning in probe.warnings()}
        assert "expires in 6 days" in found["expiry"]
        assert probe.check() is None
