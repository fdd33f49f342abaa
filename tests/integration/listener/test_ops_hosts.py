"""DNS rebinding: a page of a stranger's name that resolves to this machine reads nothing of the operating port."""

import re
import socket
from collections.abc import Iterator

import pytest

from testbed.ports import free_port
from testbed.service import RECEIVER, Service
from tests.integration.listener.test_security_headers import EXPECTED, TOKEN, rules


@pytest.fixture(scope="module")
def service(redis_server: str) -> Iterator[Service]:
    settings = {"REDIS_URL": redis_server, "CALLBACK_TOKEN": TOKEN, "OPS_HOSTS": "ops.example.com"}
    with Service(*RECEIVER, **settings) as running:
        running.wait_until_ready()
        yield running


def ask(port: int, target: str, *headers: str, method: str = "GET", version: str = "1.1") -> str:
    """The whole answer to a request that is sent as it stands."""
    lines = (f"{method} {target} HTTP/{version}", *headers, "Connection: close", "", "")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall("\r\n".join(lines).encode())
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer.decode()


def status(answer: str) -> int:
    return int(answer.split()[1])


@pytest.mark.parametrize("rule", [*rules(), "/nothing"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
def test_no_path_is_served_to_a_strangers_name(service: Service, rule: str, method: str) -> None:
    path = re.sub("<int:[a-z_]+>", "0", rule)
    path = re.sub("<[a-z_:]+>", "page.css", path)
    host = f"Host: rebound.example:{service.ops_port}"
    answer = ask(service.ops_port, path, host, method=method)
    assert status(answer) == 421
    assert "rebound.example" not in answer
    for name, value in EXPECTED.items():
        assert f"{name}: {value}" in answer


@pytest.mark.parametrize(
    ("target", "headers", "expected"),
    [
        ("/version", ["Host: 127.0.0.1"], 200),
        ("/version", ["Host: LocalHost.:9464"], 200),
        ("/version", ["Host: [::1]:9464"], 200),
        ("/version", ["Host: OPS.example.com"], 200),
        ("http://127.0.0.1/version", ["Host: 127.0.0.1"], 200),
        ("http://rebound.example/version", ["Host: 127.0.0.1"], 421),
        ("http://127.0.0.1/version", ["Host: rebound.example"], 421),
        ("/version", ["Host: 127.0.0.1.rebound.example"], 421),
        ("/version", ["Host: rebound.example", "X-Forwarded-Host: 127.0.0.1"], 421),
        ("/version", ["Host:"], 421),
    ],
)
def test_host_of_header_and_target_decide(
    service: Service, target: str, headers: list[str], expected: int
) -> None:
    assert status(ask(service.ops_port, target, *headers)) == expected


def test_request_without_a_single_host_is_not_served(service: Service) -> None:
    assert status(ask(service.ops_port, "/version", version="1.0")) == 421
    assert status(ask(service.ops_port, "/version")) in (400, 421)
    two = ("Host: 127.0.0.1", "Host: rebound.example")
    assert status(ask(service.ops_port, "/version", *two)) in (400, 421)


def test_public_port_takes_any_host(service: Service) -> None:
    port = int(service.url.rpartition(":")[2])
    assert status(ask(port, "/healthz", "Host: fota.example.com")) == 200


def test_refused_name_is_logged_with_what_to_do(service: Service) -> None:
    ask(service.ops_port, "/version", "Host: prometheus.example")
    assert '"operating request refused"' in service.log()
    assert "OPS_HOSTS" in service.log()


@pytest.mark.parametrize(("host", "warned"), [("", True), ("127.0.0.1", False)])
def test_forgeable_address_is_warned_of_at_start(
    redis_server: str, host: str, warned: bool
) -> None:
    port = free_port()
    settings = {"PORT": str(port), "CALLBACK_SOURCES": "thingspace", "TRUSTED_PROXIES": "1"}
    bind = ("--bind", f"{host}:{port}") if host else ()
    command = (RECEIVER[0], *bind, *RECEIVER[1:])
    with Service(*command, REDIS_URL=redis_server, WEB_CONCURRENCY="1", **settings) as service:
        service.url = f"http://127.0.0.1:{port}"
        service.wait_until_ready()
        assert ("sender can be forged" in service.log()) is warned


@pytest.mark.parametrize("rule", [*rules(), "/nothing"])
def test_no_path_does_work_for_a_page_of_another_site(service: Service, rule: str) -> None:
    path = re.sub("<int:[a-z_]+>", "0", rule)
    path = re.sub("<[a-z_:]+>", "page.css", path)
    host = f"Host: 127.0.0.1:{service.ops_port}"
    embedded = ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image")
    assert status(ask(service.ops_port, path, host, *embedded)) == 403
    followed = (
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Mode: navigate",
        "Sec-Fetch-Dest: document",
    )
    assert status(ask(service.ops_port, path, host, *followed)) in (200, 302, 404)
