"""The operator's port: what it serves, and that nothing of it is to be had at the public port."""

import errno
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests
from structlog.testing import capture_logs

from listener import __version__
from listener.ops.app import create_ops_app
from listener.ops.version import COMMIT_VARIABLES, version_info
from listener.queue.queue import DurableQueue
from listener.server import bind_addresses
from listener.settings.settings import Settings
from testbed.polling import wait_until
from testbed.ports import free_port
from testbed.service import RECEIVER, Service

TOKEN = "token-of-all-the-tests"
PUBLIC_TOO = {"/healthz", "/readyz"}


@pytest.fixture(scope="module")
def service(redis_server: str) -> Iterator[Service]:
    with Service(*RECEIVER, REDIS_URL=redis_server, CALLBACK_TOKEN=TOKEN) as running:
        running.wait_until_ready()
        yield running


def get(url: str, method: str = "GET", **options: str) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, url, timeout=5, headers=options)


def routes() -> list[str]:
    """Every route of the operating application."""
    settings = Settings.from_env({"CALLBACK_TOKEN": TOKEN, "SPOOL_DIR": ""})
    app = create_ops_app(settings, queue=DurableQueue(settings))
    return sorted({rule.rule for rule in app.url_map.iter_rules()})


def test_the_operating_port_says_alive_ready_and_version(service: Service) -> None:
    assert get(f"{service.ops_url}/healthz").json() == {"status": "alive"}
    assert get(f"{service.ops_url}/readyz").json() == {"status": "ready", "keeper": "redis"}
    told = get(f"{service.ops_url}/version").json()
    assert told["version"] == __version__
    assert {"python", "libraries", "commit"} <= told.keys()


def test_whoever_built_it_tells_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in COMMIT_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert version_info()["commit"] is None
    monkeypatch.setenv("HEROKU_SLUG_COMMIT", "of-the-platform")
    monkeypatch.setenv("BUILD_COMMIT", "")
    assert version_info()["commit"] == "of-the-platform"
    monkeypatch.setenv("BUILD_COMMIT", "0123abc")
    assert version_info()["commit"] == "0123abc"


def test_the_server_header_names_no_version(service: Service) -> None:
    for url in (service.url, service.ops_url):
        assert get(f"{url}/healthz").headers["Server"] == "gunicorn"


def test_what_is_not_there_is_a_problem_and_no_answer_may_be_framed_or_kept(
    service: Service,
) -> None:
    answer = get(f"{service.ops_url}/nothing")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"
    wrong = get(f"{service.ops_url}/version", "POST")
    assert (wrong.status_code, wrong.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")


@pytest.mark.parametrize("route", sorted(set(routes()) - PUBLIC_TOO))
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
def test_no_operating_route_answers_at_the_public_port(
    service: Service, route: str, method: str
) -> None:
    forged = {
        "Host": f"127.0.0.1:{service.ops_port}",
        "X-Forwarded-Host": f"127.0.0.1:{service.ops_port}",
        "X-Forwarded-Port": str(service.ops_port),
        "SCRIPT_NAME": route,
        "PATH_INFO": route,
    }
    answer = get(f"{service.url}{route}", method, **forged)
    nowhere = get(f"{service.url}/nowhere", method, **forged)
    assert answer.status_code == nowhere.status_code == 404
    assert answer.content == nowhere.content


def test_messages_are_not_taken_at_the_operating_port(service: Service) -> None:
    assert get(f"{service.ops_url}/cb/{TOKEN}", "POST").status_code == 404


def test_a_unix_socket_with_a_forged_host_does_not_lead_to_the_operating_side(
    redis_server: str, tmp_path: Path
) -> None:
    path = tmp_path / "s"
    command = ("gunicorn", "--bind", f"unix:{path}", "listener.wsgi:app")
    with Service(*command, REDIS_URL=redis_server, CALLBACK_TOKEN=TOKEN) as service:
        wait_until(lambda: ask_over(path, "/healthz HTTP/1.1\r\nHost: x") or service.ended())
        status = ask_over(path, f"/version HTTP/1.1\r\nHost: x:{service.ops_port}")
        assert status.startswith("HTTP/1.1 404"), service.log()


def ask_over(path: Path, request: str) -> str:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        try:
            connection.connect(str(path))
            connection.sendall(f"GET {request}\r\n\r\n".encode())
            return connection.recv(1000).decode()
        except OSError:
            return ""


def test_a_taken_operating_port_is_told_and_messages_are_taken_all_the_same(
    redis_server: str,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = {"REDIS_URL": redis_server, "CALLBACK_TOKEN": TOKEN, "OPS_BIND": bind}
        with Service(*RECEIVER, **settings) as service:
            service.wait_until_ready()
            assert "OPS_BIND cannot be had" in service.log()


def test_operating_port_is_kept_by_a_reload() -> None:
    settings = Settings.from_env({"CALLBACK_TOKEN": TOKEN, "OPS_BIND": f"127.0.0.1:{free_port()}"})
    assert settings.ops_bind
    chosen = bind_addresses.with_operating_port(["0.0.0.0:8000"], settings)
    assert len(chosen) == 2
    with socket.create_server(settings.ops_bind):
        assert bind_addresses.with_operating_port(["0.0.0.0:8000"], settings) == chosen


def test_nothing_more_is_bound_and_nothing_is_logged_without_an_operating_port() -> None:
    settings = Settings.from_env({"CALLBACK_TOKEN": TOKEN, "OPS_BIND": ""})
    with capture_logs() as told:
        assert bind_addresses.with_operating_port(["fd://3"], settings) == ["fd://3"]
    assert told == []


def test_operating_port_that_was_bound_by_hand_is_bound_once() -> None:
    port = free_port()
    settings = Settings.from_env({"CALLBACK_TOKEN": TOKEN, "OPS_BIND": f"127.0.0.1:{port}"})
    given = [f"127.0.0.1:{port}", "unix:/run/fota.sock", "[::]:8000"]
    assert bind_addresses.with_operating_port(given, settings) == [*given[1:], given[0]]


@pytest.mark.parametrize("address", ["0.0.0.0:{}", "[::]:{}", "localhost:{}", ":{}", "fd://3"])
def test_address_that_would_publish_or_displace_the_operating_side_is_refused(address: str) -> None:
    port = free_port()
    settings = Settings.from_env({"CALLBACK_TOKEN": TOKEN, "OPS_BIND": f"127.0.0.1:{port}"})
    with pytest.raises(bind_addresses.BindError):
        bind_addresses.with_operating_port([address.format(port)], settings)


def test_ipv6_address_of_the_operating_port_is_bound_in_brackets() -> None:
    if not any(it.address == "::1" for nic in psutil.net_if_addrs().values() for it in nic):
        pytest.skip("this machine has no IPv6")
    port = free_port()
    settings = Settings.from_env({"CALLBACK_TOKEN": TOKEN, "OPS_BIND": f"[::1]:{port}"})
    assert bind_addresses.with_operating_port([], settings) == [f"[::1]:{port}"]


@pytest.mark.parametrize(
    ("has_ipv6", "v6only", "expected"),
    [
        (True, 0, ["[::]:8000"]),
        (True, 1, ["[::]:8000", "0.0.0.0:8000"]),
        (False, 0, ["0.0.0.0:8000"]),
    ],
)
def test_public_port_is_bound_in_the_families_that_the_machine_has(
    has_ipv6: bool, v6only: int, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Candidate(socket.socket):
        def __init__(self, family: int, kind: int) -> None:
            if not has_ipv6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            super().__init__(socket.AF_INET, kind)

        def getsockopt(self, *_: object) -> int:  # type: ignore[override]
            return v6only

        def bind(self, _address: object) -> None:
            pass

    monkeypatch.setattr(socket, "socket", Candidate)
    assert bind_addresses.public_addresses(8000) == expected
