"""The service from boot to shutdown with the sandbox sending all the while: nothing is lost."""

import json
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
import redis

from testbed.polling import wait_until
from testbed.process import ROOT
from testbed.registrar_process import gone, sending
from testbed.sandbox_client import Sandbox
from testbed.service import RECEIVER, SUPERVISED, Service

LOGIN = {"CALLBACK_USERNAME": "listener", "CALLBACK_PASSWORD": "correct-horse-battery"}
EVERY_S = 0.05


@pytest.mark.slow
def test_what_was_acknowledged_up_to_the_exit_is_in_redis(redis_url: str) -> None:
    # Duplicates of slow answers are not this test's subject, and the machine may be busy.
    with Sandbox(duplicate_after=20) as sandbox:
        settings = {**LOGIN, **sandbox.environment(), "REDIS_URL": redis_url}
        with (
            Service(*SUPERVISED, **settings, REGISTRAR_PROBE="off") as service,
            sending(sandbox, every_s=EVERY_S),
        ):
            wait_until(lambda: acknowledged(sandbox) >= 30, service.log)
            service.signal()
            assert service.wait() == 0, service.log()
            wait_until(lambda: sandbox.deliveries()[-1]["result"] == "unregistered")
        wait_until(lambda: sandbox.counts()["pending"] == 0)
        deliveries = sandbox.deliveries()
        [delete] = sandbox.requests(method="DELETE")
        assert sandbox.registered_url() is None

    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        found: Any = client.xrange("{fota:0}:messages")
    ids = [fields["id"] for _, fields in found]
    kept = [d["id"] for d in deliveries if d["result"] == "acknowledged"]
    assert len(ids) == len(set(ids)) == len(kept)
    assert not [d for d in deliveries if d["result"] == "lost"]
    refused = [a for d in deliveries for a in d["attempts"] if a["status"] != 200]
    assert not [a for a in refused if a["started"] < delete["started"]]


@pytest.mark.slow
def test_what_was_sent_before_the_delete_and_comes_after_it_is_received(redis_url: str) -> None:
    with Sandbox() as sandbox:
        settings = {**LOGIN, **sandbox.environment(), "REDIS_URL": redis_url}
        with Service(*SUPERVISED, **settings, REGISTRAR_PROBE="off") as service:
            wait_until(lambda: sandbox.registered_url() == f"{service.url}/cb", service.log)
            service.signal()
            wait_until(lambda: sandbox.requests(method="DELETE"), service.log)
            late = {"username": "listener", "password": LOGIN["CALLBACK_PASSWORD"], "n": 1}
            assert service.post(json.dumps(late)).status_code == 200
            assert service.wait() == 0, service.log()


def acknowledged(sandbox: Sandbox) -> int:
    return sandbox.counts()["acknowledged"]


def test_it_registers_only_when_it_can_receive_and_stops_only_when_nobody_sends(
    redis_url: str,
) -> None:
    with Sandbox() as sandbox:
        settings = {**LOGIN, **sandbox.environment(), "REDIS_URL": redis_url, "LOG_FORMAT": "text"}
        with Service(*SUPERVISED, **settings, REGISTRAR_PROBE="off") as service:
            wait_until(lambda: sandbox.registered_url() == f"{service.url}/cb", service.log)
            assert service.ready(), "registered, so it can receive"
            service.signal()
            assert service.wait() == 0
            log = service.log()
        methods = [call["method"] for call in sandbox.requests(path="/api/fota")]
    assert methods[0] == "GET", "the registration is read before it is written"
    assert methods.count("POST") == methods.count("DELETE") == 1
    assert log.index("deregistered") < log.index("Handling signal: term")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM])
def test_an_upload_in_flight_is_kept_whichever_signal_stops_the_service(
    redis_url: str, number: signal.Signals
) -> None:
    with Sandbox() as sandbox:
        settings = {**LOGIN, **sandbox.environment(), "REDIS_URL": redis_url}
        with Service(*SUPERVISED, **settings, REGISTRAR_PROBE="off") as service:
            wait_until(lambda: sandbox.registered_url() == f"{service.url}/cb", service.log)
            body = json.dumps(
                {
                    "username": "listener",
                    "password": LOGIN["CALLBACK_PASSWORD"],
                    "number": int(number),
                }
            ).encode()
            head = f"POST /cb HTTP/1.1\r\nHost: listener\r\nContent-Length: {len(body)}\r\n\r\n"
            with socket.create_connection(("127.0.0.1", service.port), 10) as upload:
                upload.sendall(head.encode() + body[:10])
                service.signal(number)
                wait_until(lambda: "Handling signal: " in service.log(), service.log)
                wait_until(lambda: not listens(service), service.log)
                upload.sendall(body[10:])
                answer = upload.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200 "), answer
            assert service.wait() == 0, service.log()


def listens(service: Service) -> bool:
    try:
        socket.create_connection(("127.0.0.1", service.port), 1).close()
    except OSError:
        return False
    return True


SHELL = "gunicorn listener.wsgi:app; true"


@pytest.mark.slow
def test_a_server_behind_a_shell_ends_with_the_service(redis_url: str) -> None:
    with Sandbox() as sandbox:
        settings = {**LOGIN, **sandbox.environment(), "REDIS_URL": redis_url}
        command = ("python", "-m", "registrar", "run", "--", "sh", "-c", SHELL)
        with Service(*command, **settings, REGISTRAR_PROBE="off") as service:
            wait_until(lambda: sandbox.registered_url() == f"{service.url}/cb", service.log)
            pids = [process.pid for process in service.family()]
            service.signal()
            service.wait()
            assert gone(pids), service.log()
        assert sandbox.registered_url() is None


@pytest.mark.slow
def test_a_second_gunicorn_master_does_not_outlive_the_registration(redis_url: str) -> None:
    """SIGUSR2 and then SIGQUIT, both sent to gunicorn's master and not to the registrar."""
    with Sandbox() as sandbox:
        settings = {**LOGIN, **sandbox.environment(), "REDIS_URL": redis_url}
        with Service(*SUPERVISED, **settings, REGISTRAR_PROBE="off") as service:
            wait_until(lambda: sandbox.registered_url() == f"{service.url}/cb", service.log)
            registrar = service.family()[0]
            [master] = registrar.children()
            workers = len(master.children())
            master.send_signal(signal.SIGUSR2)
            wait_until(lambda: "Handling signal: usr2" in service.log(), service.log)
            wait_until(lambda: len(master.children(recursive=True)) > workers, service.log)
            pids = [process.pid for process in master.children(recursive=True)]
            master.send_signal(signal.SIGQUIT)
            service.wait()
            assert gone([master.pid, *pids]), service.log()
        assert sandbox.registered_url() is None


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_worker_that_ends_closes_its_journal(end: signal.Signals) -> None:
    check_that_the_journal_is_closed(RECEIVER, end)


@pytest.mark.slow
def test_worker_closes_its_journal_beside_a_worker_exit_of_the_operators_own(
    tmp_path: Path,
) -> None:
    own = tmp_path / "own.py"
    own.write_text(
        f"import runpy\nglobals().update(runpy.run_path({str(ROOT / 'gunicorn.conf.py')!r}))\n"
        "def worker_exit(arbiter, worker): arbiter.log.info('mine')\n"
    )
    log = check_that_the_journal_is_closed(
        ("gunicorn", "-c", str(own), "listener.wsgi:app"), signal.SIGTERM
    )
    assert "mine" in log


def check_that_the_journal_is_closed(command: tuple[str, ...], end: signal.Signals) -> str:
    """Runs a receiver with one message in its spool, ends it, and returns its log."""
    # SQLite removes its write-ahead log when the last connection is closed, and only then.
    settings = {**LOGIN, "REDIS_URL": "redis://127.0.0.1:1", "WEB_CONCURRENCY": "1"}
    with Service(*command, **settings) as service:
        service.wait_until_ready()
        login = {"username": "listener", "password": LOGIN["CALLBACK_PASSWORD"]}
        assert service.post(json.dumps(login)).status_code == 200
        spool = Path(service.settings["SPOOL_DIR"])
        assert [*spool.glob("*-wal")]
        service.signal(end)
        assert service.wait() == 0
        assert [*spool.glob("*.db")]
        assert not [*spool.glob("*-wal")], service.log()
        return service.log()
