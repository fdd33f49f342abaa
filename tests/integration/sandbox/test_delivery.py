"""The sandbox as a process sends to a small receiver: what arrives, and what is noted about it."""

import json
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from testbed.polling import wait_until
from testbed.programs import find_program
from testbed.sandbox_client import Sandbox

# Short where a test is about it; long where a busy machine must not cause it.
SPANS: dict[str, Any] = {
    "retry_after_min": 0.05,
    "retry_after_max": 0.15,
    "duplicate_after": 30,
}


class Receiver:
    """A listener that answers as a function of the number of the request says; None: it hangs up."""

    def __init__(self, answer: Callable[[int], int | None], context: ssl.SSLContext | None) -> None:
        self.answer = answer
        self.received: list[tuple[str, dict[str, str], bytes]] = []
        self.mutex = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        if context is not None:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        scheme = "http" if context is None else "https"
        self.url = f"{scheme}://localhost:{self.server.server_address[1]}/fota"

    def handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with receiver.mutex:
                    receiver.received.append((self.requestline, dict(self.headers), body))
                    number = len(receiver.received)
                if (status := receiver.answer(number)) is not None:
                    self.send_response(status)
                    self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@contextmanager
def receiving(
    answer: Callable[[int], int | None] = lambda _: 200, context: ssl.SSLContext | None = None
) -> Iterator[Receiver]:
    receiver = Receiver(answer, context)
    # Handling a request may outlast the server: daemon threads, which nobody waits for.
    receiver.server.daemon_threads = True
    # A refused handshake is what one of the tests is about; its traceback is of no use.
    receiver.server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=receiver.server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        receiver.server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(**SPANS) as running:
        yield running


def message(sandbox: Sandbox, **more: Any) -> dict[str, Any]:
    return {"accountName": sandbox.account, "type": "upgradeProgress", **more}


def kinds(delivery: dict[str, Any]) -> list[str]:
    return [attempt["kind"] for attempt in delivery["attempts"]]


def test_a_message_arrives_as_the_provider_would_send_it(sandbox: Sandbox) -> None:
    with receiving() as receiver:
        sandbox.register_outside(receiver.url, username="listener", password="hidden")
        delivery = sandbox.send(message(sandbox, make="Zoë", password="other"), wait=True)
    assert (delivery["result"], kinds(delivery)) == ("acknowledged", ["first"])
    assert delivery["attempts"][0]["status"] == 200
    ((line, headers, body),) = receiver.received
    assert line == "POST /fota HTTP/1.1"
    assert headers["User-Agent"] == "Verizon's callback service"
    assert headers["Content-Type"] == "application/json"
    assert "Authorization" not in headers
    assert json.loads(body) == message(sandbox, make="Zoë", username="listener", password="hidden")
    assert "hidden" not in str(sandbox.deliveries())


@pytest.mark.parametrize("refusal", [403, 503, 302, None])
def test_refused_once_it_is_tried_again_and_kept(sandbox: Sandbox, refusal: int | None) -> None:
    with receiving(lambda number: refusal if number == 1 else 204) as receiver:
        sandbox.register_outside(receiver.url)
        delivery = sandbox.send(message(sandbox), wait=True)
    assert (delivery["result"], kinds(delivery)) == ("acknowledged", ["first", "retry"])
    first, retry = delivery["attempts"]
    assert first["status"] == refusal
    assert bool(first["error"]) == (refusal is None)
    assert retry["started"] - first["ended"] >= 0.05


def test_refused_twice_it_is_lost(sandbox: Sandbox) -> None:
    with receiving(lambda _: 503) as receiver:
        sandbox.register_outside(receiver.url)
        delivery = sandbox.send(message(sandbox), wait=True)
    assert (delivery["result"], kinds(delivery)) == ("lost", ["first", "retry"])
    assert len(receiver.received) == 2


def test_a_listener_that_is_down_loses_it(sandbox: Sandbox) -> None:
    with receiving() as receiver:
        sandbox.register_outside(receiver.url)
    delivery = sandbox.send(message(sandbox), wait=True)
    assert (delivery["result"], kinds(delivery)) == ("lost", ["first", "retry"])
    assert receiver.received == []


def test_a_slow_listener_gets_it_twice_at_the_same_time() -> None:
    second_came = threading.Event()

    def answer(number: int) -> int:
        if number == 1:
            assert second_came.wait(20)
        second_came.set()
        return 200

    with Sandbox(duplicate_after=0.3) as impatient, receiving(answer) as receiver:
        impatient.register_outside(receiver.url)
        delivery = impatient.send(message(impatient), wait=True)
    assert (delivery["result"], kinds(delivery)) == ("acknowledged", ["first", "duplicate"])
    first, duplicate = delivery["attempts"]
    assert first["status"] == duplicate["status"] == 200
    assert duplicate["started"] - first["started"] >= 0.3
    assert receiver.received[0][2] == receiver.received[1][2]


def test_a_listener_that_never_answers_is_given_up() -> None:
    done = threading.Event()
    with Sandbox(duplicate_after=0.05, give_up_after=0.3) as impatient:
        try:
            with receiving(lambda _: 200 if done.wait(30) else None) as receiver:
                impatient.register_outside(receiver.url)
                delivery = impatient.send(message(impatient), wait=True)
        finally:
            done.set()
    assert (delivery["result"], kinds(delivery)) == ("lost", ["first", "duplicate"])
    assert [attempt["error"] for attempt in delivery["attempts"]] == ["ReadTimeout"] * 2


def test_the_registration_at_the_time_of_sending_counts(sandbox: Sandbox) -> None:
    with receiving() as old, receiving() as new:
        sandbox.register_outside(old.url)
        sandbox.send(message(sandbox), wait=True)
        sandbox.register_outside(new.url)
        sandbox.send(message(sandbox), wait=True)
        sandbox.deregister_outside()
        assert sandbox.send(message(sandbox), wait=True)["result"] == "unregistered"
    assert (len(old.received), len(new.received)) == (1, 1)


def test_messages_for_v2_and_v3_carry_no_login(sandbox: Sandbox) -> None:
    with receiving() as receiver:
        for version in ("v2", "v3"):
            sandbox.register_outside(receiver.url, version=version)
            sandbox.send(message(sandbox), version=version, wait=True)
            sandbox.deregister_outside(version=version)
    assert [json.loads(body) for *_, body in receiver.received] == [message(sandbox)] * 2


def test_with_a_rotation_lag_the_old_password_comes() -> None:
    with Sandbox(rotation_lag=600) as lagging, receiving() as receiver:
        for password in ("old", "new"):
            lagging.register_outside(receiver.url, username="u", password=password)
        lagging.send(message(lagging), wait=True)
    assert json.loads(receiver.received[0][2])["password"] == "old"


def test_netrc_and_proxies_of_the_environment_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login u password p\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with Sandbox(**SPANS) as running, receiving() as receiver:
        running.register_outside(receiver.url)
        assert running.send(message(running), wait=True)["result"] == "acknowledged"
    assert "Authorization" not in receiver.received[0][1]


@pytest.mark.slow
def test_a_certificate_is_verified_and_its_authority_can_be_named(tmp_path: Path) -> None:
    openssl = find_program("openssl")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    extra = ["-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([openssl, *make.split(), *extra, *files], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    with receiving(context=context) as receiver:
        with Sandbox(**SPANS) as strict:
            strict.register_outside(receiver.url)
            refused = strict.send(message(strict), wait=True)
        with Sandbox(ca_file=str(certificate)) as trusting:
            trusting.register_outside(receiver.url)
            accepted = trusting.send(message(trusting), wait=True)
    assert (refused["result"], refused["attempts"][0]["error"]) == ("lost", "SSLError")
    assert accepted["result"] == "acknowledged"
    assert len(receiver.received) == 1


@pytest.mark.parametrize(("version", "total"), [("v1", 41), ("v2", 42), ("v3", 42)])
def test_the_callbacks_of_a_campaign_arrive_less_those_that_are_lost(
    sandbox: Sandbox, version: str, total: int
) -> None:
    wanted = {"version": version, "devices": 20, "pace_s": 0.02, "lose": 2, "lose_of": 10}

    def callbacks() -> dict[str, int]:
        counts: dict[str, int] = sandbox.control("GET", "/campaigns")["campaigns"][-1]["callbacks"]
        return counts

    # Six requests are refused: a message is lost if both of its tries are among them.
    with receiving(lambda number: 503 if 10 <= number <= 15 else 200) as receiver:
        sandbox.register_outside(receiver.url, version=version)
        sandbox.control("POST", "/campaigns", json={**wanted, "seed": "s"})
        wait_until(
            lambda: sum(callbacks().values()) == total and not callbacks()["pending"], "end", 20
        )
        counts = callbacks()
        refused = 6
        assert len(receiver.received) - refused == counts["acknowledged"]
    assert 8 <= counts["dropped"] <= 10
    assert counts["acknowledged"] + counts["lost"] + counts["dropped"] == total
    sandbox.deregister_outside(version=version)
