"""Every way of starting gunicorn either keeps the promises or is refused with a sentence, at once."""

import signal
import socket
from pathlib import Path

import psutil
import pytest
import requests

from testbed import registrar_process
from testbed.polling import wait_until
from testbed.process import ROOT
from testbed.sandbox_client import Sandbox
from testbed.service import RECEIVER, Service

TOKEN = "token-of-all-the-tests"
APP = "listener.wsgi:app"
OWN = f"""
import runpy
globals().update(runpy.run_path({str(ROOT / "gunicorn.conf.py")!r}))
"""


def started(redis_url: str, *command: str, **settings: str) -> Service:
    return Service(*command, REDIS_URL=redis_url, CALLBACK_TOKEN=TOKEN, **settings)


def get(url: str) -> int:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, timeout=5).status_code


def refusal(service: Service) -> tuple[int, str]:
    """The exit status and all that was written."""
    with service:
        status = service.wait()
        assert service.family() == []
        log = service.log()
    assert "Traceback" not in log, log
    return status, log


BREAKING = {
    "worker_class": ("-k", "sync"),
    "threads": ("--threads", "4"),
    "preload_app": ("--preload",),
    "chdir": ("--chdir", "/"),
    "timeout": ("--timeout", "0"),
    "proxy_protocol": ("--proxy-protocol=v1",),
    "reuse_port": ("--reuse-port",),
    "raw_env": ("--env", "PORT=1"),
}


def test_every_option_that_breaks_a_promise_is_refused_once_by_the_master(
    redis_server: str,
) -> None:
    options = [word for words in BREAKING.values() for word in words]
    status, log = refusal(started(redis_server, "gunicorn", *options, APP))
    assert status == 2, log
    assert [log.count(f"  {name} (") for name in BREAKING] == [1] * len(BREAKING), log
    assert "Booting worker" not in log


@pytest.mark.quick_cases(2)
@pytest.mark.parametrize(
    ("options", "name"),
    [
        (("-k", "gevent"), "worker_class"),
        (("-k", "gthread", "--threads", "4"), "worker_class"),
        (("--daemon",), "daemon"),
        (("--bind", "fd://3"), "bind"),
        (("--check-config", "-k", "sync"), "worker_class"),
    ],
)
def test_option_that_breaks_a_promise_is_refused_by_itself(
    redis_server: str, options: tuple[str, ...], name: str
) -> None:
    status, log = refusal(started(redis_server, "gunicorn", *options, APP))
    assert status == 2, log
    assert log.count(f"  {name} (") == 1
    assert "Booting worker" not in log


def test_option_in_the_environment_is_refused_as_well(redis_server: str) -> None:
    status, log = refusal(started(redis_server, *RECEIVER, GUNICORN_CMD_ARGS="--threads=8"))
    assert status == 2
    assert "threads (--threads): " in log


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    ("own", "status"),
    [
        pytest.param("workers = 4\n", 4, id="without ours"),
        pytest.param("preload_app = True\n", 2, id="without ours, preloaded"),
        pytest.param("worker_class = 'gthread'\nthreads = 4\n", 4, id="another worker"),
        pytest.param("worker_class = 'listener.server.worker.Worker'\n", 4, id="our worker alone"),
        pytest.param(OWN + "worker_class = 'sync'\n", 2, id="ours and then another worker"),
        pytest.param(OWN + "def post_fork(a, w): pass\n", 2, id="ours and then another hook"),
        pytest.param(OWN + "def nworkers_changed(a, n, o): pass\n", 4, id="ours without its check"),
    ],
)
def test_configuration_of_an_operators_own_cannot_replace_ours(
    redis_server: str, tmp_path: Path, own: str, status: int
) -> None:
    path = tmp_path / "own.py"
    path.write_text(own)
    found, log = refusal(started(redis_server, "gunicorn", "-w", "3", "-c", str(path), APP))
    assert found == status, log
    assert log.count("listener.wsgi does not run like this") + log.count("with these options") == 1


def test_application_under_another_server_says_how_to_start_it(redis_server: str) -> None:
    status, log = refusal(started(redis_server, "python", "-c", "import listener.wsgi"))
    assert status == 2
    assert "gunicorn listener.wsgi:app" in log
    assert f"\n  gunicorn -c {ROOT / 'gunicorn.conf.py'} {APP}\n" in log
    status, log = refusal(started(redis_server, "flask", "--app", "listener.wsgi", "run"))
    assert status == 2


def test_flask_lists_the_receivers_routes(redis_server: str) -> None:
    status, log = refusal(
        started(redis_server, "flask", "--app", "listener.callback.app", "routes")
    )
    assert status == 0, log
    lines = [line.split() for line in log.splitlines()]
    routes = {(line[0], line[-1]) for line in lines if len(line) > 1}
    assert routes >= {
        ("callback.receive", "/<path:path>"),
        ("health.alive", "/healthz"),
        ("health.ready", "/readyz"),
    }


def test_configuration_that_is_only_checked_is_not_refused(redis_server: str) -> None:
    status, log = refusal(started(redis_server, "gunicorn", "--check-config", APP))
    assert (status, log) == (0, "")


@pytest.mark.slow
def test_configuration_that_begins_with_ours_keeps_what_it_adds_through_every_signal(
    redis_server: str, tmp_path: Path
) -> None:
    own = tmp_path / "own.py"
    own.write_text(OWN + "max_requests = 5\ndef when_ready(arbiter): arbiter.log.info('mine')\n")
    with started(redis_server, "gunicorn", "-c", str(own), APP) as service:
        service.wait_until_ready()
        assert "mine" in service.log()
        for number in (signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR1):
            service.signal(number)
            wait_until_handled(service, number)
            for _ in range(20):
                assert service.post(b"{}", f"/cb/{TOKEN}").status_code == 200
            assert get(f"{service.ops_url}/version") == 200


def wait_until_handled(service: Service, number: signal.Signals) -> None:
    wait_until(lambda: f"ignal: {number.name[3:].lower()}" in service.log(), service.log)


@pytest.mark.slow
def test_new_master_takes_over_both_ports(redis_server: str) -> None:
    with started(redis_server, *RECEIVER) as service:
        service.wait_until_ready()
        assert service.process
        old = psutil.Process(service.process.pid)
        workers = set(old.children())
        service.signal(signal.SIGUSR2)
        wait_until(lambda: service.log().count("Booting worker") >= 4, service.log)
        (new,) = (child for child in set(old.children()) - workers if child.children())
        service.signal(signal.SIGTERM)
        service.wait()
        try:
            assert service.ready()
            assert get(f"{service.ops_url}/version") == 200
        finally:
            new.terminate()
            psutil.wait_procs([new], timeout=15)
        assert not new.is_running()


@pytest.mark.slow
def test_workers_that_end_lose_nothing_and_no_access_log_shows_the_token(redis_server: str) -> None:
    options = (*("--max-requests", "50", "--umask", "0777"), *("--access-logfile", "-"))
    with started(redis_server, "gunicorn", *options, APP) as service:
        service.wait_until_ready()
        while service.log().count("Booting worker") < 4:
            assert service.post(b"{}", f"/cb/{TOKEN}").status_code == 200
        assert TOKEN not in service.log()


def test_file_of_ours_works_from_another_directory(redis_server: str, tmp_path: Path) -> None:
    command = f"cd {tmp_path} && exec gunicorn -c {ROOT}/gunicorn.conf.py {APP}"
    with started(redis_server, "sh", "-c", command) as service:
        service.wait_until_ready()
        assert service.post(b"{}", f"/cb/{TOKEN}").status_code == 200


@pytest.mark.slow
def test_public_port_answers_on_both_families_and_sees_plain_ipv4_addresses(
    redis_server: str,
) -> None:
    allowed = {"CALLBACK_SOURCES": "127.0.0.1,::1/128"}
    with started(redis_server, *RECEIVER, **allowed) as service:
        service.wait_until_ready()
        assert service.post(b"{}", f"/cb/{TOKEN}").status_code == 200
        if has_ipv6():
            service.url = f"http://[::1]:{service.port}"
            assert service.ready()
            assert service.post(b"{}", f"/cb/{TOKEN}").status_code == 200
    with started(redis_server, *RECEIVER, CALLBACK_SOURCES="192.0.2.1") as service:
        service.wait_until_ready()
        assert service.post(b"{}", f"/cb/{TOKEN}").status_code == 403
        assert "::ffff" not in service.log()


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("host", ["127.0.0.1", "[::]", "[::1]", "0.0.0.0", "localhost"])
def test_operating_port_is_served_whatever_is_bound(redis_server: str, host: str) -> None:
    if ":" in host and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    service = started(redis_server, "sh", "-c", f"exec gunicorn --bind '{host}':$PORT {APP}")
    service.url = (
        f"http://{host.replace('0.0.0.0', '127.0.0.1').replace('[::]', '127.0.0.1')}:{service.port}"
    )
    with service:
        service.wait_until_ready()
        assert get(f"{service.ops_url}/version") == 200
        assert get(f"{service.url}/version") == 404


def test_public_address_with_the_operating_port_is_refused(redis_server: str) -> None:
    service = started(
        redis_server, "sh", "-c", f"exec gunicorn --bind 0.0.0.0:${{OPS_BIND##*:}} {APP}"
    )
    status, log = refusal(service)
    assert status == 2
    assert "bind (-b, --bind): the port of OPS_BIND" in log


@pytest.mark.slow
def test_registrar_finds_a_listener_that_ipv6_alone_reaches(
    redis_server: str, tmp_path: Path
) -> None:
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")
    command = f"exec python -m registrar run -- gunicorn --bind '[::1]':$PORT {APP}"
    with Sandbox() as sandbox:
        settings = registrar_process.settings(sandbox, tmp_path, REDIS_URL=redis_server)
        with Service("sh", "-c", command, **settings) as service:
            registrar_process.wait_until_registered(service)
            service.signal()
            assert service.wait() == 0


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False
