"""`run` as process supervisor: the order of things, signals, exit statuses, and nothing left behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

from testbed.polling import wait_until
from testbed.ports import free_port
from testbed.process import BIN, ROOT
from testbed.registrar_process import (
    REGISTRAR,
    TOKEN,
    command_line,
    events,
    gone,
    has_said,
    settings,
    wait_until_registered,
    wait_until_said,
)
from testbed.sandbox_client import Sandbox
from testbed.service import SUPERVISED, Service

# What COMMAND is told is written into a file, whose name is the first argument.
RECORDER = """
import os, signal, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
record = open(sys.argv[1], "a", buffering=1)
def note(number, frame):
    record.write(signal.Signals(number).name + "\\n")
    if number in (signal.SIGTERM, signal.SIGINT) and sys.argv[2] != "stubborn":
        sys.exit(int(sys.argv[2]))
for name in ("HUP", "USR1", "USR2", "TTIN", "TTOU", "TERM", "INT"):
    signal.signal(getattr(signal, "SIG" + name), note)
class Ready(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
    def log_message(self, *_): pass
server = HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Ready)
record.write("environment " + " ".join(sorted(os.environ)) + "\\n")
record.write("group %d %d\\n" % (os.getpgid(0), os.getppid()))
server.serve_forever()
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def environ(sandbox: Sandbox, redis_url: str, tmp_path: Path) -> dict[str, str]:
    sandbox.clear_faults()
    sandbox.deregister_outside()
    return settings(sandbox, tmp_path, REDIS_URL=redis_url)


def supervised(environ: dict[str, str], record: Path, end: str = "0") -> Service:
    """`run` with a COMMAND that records what it is told."""
    return Service(*REGISTRAR, "run", "--", "python", "-c", RECORDER, str(record), end, **environ)


def recorded(record: Path) -> list[str]:
    return record.read_text().splitlines() if record.exists() else []


def is_last(record: Path, name: str) -> bool:
    return recorded(record)[-1] == name


def test_deregisters_before_the_command_is_told_to_stop_and_passes_its_status_on(
    sandbox: Sandbox, environ: dict[str, str], tmp_path: Path
) -> None:
    record = tmp_path / "record"
    with supervised(environ, record, "7") as service:
        wait_until_registered(service)
        # The answer to the DELETE is held back: meanwhile COMMAND must not have been told anything.
        sandbox.fault("/api/fota", method="DELETE", when="after", delay_s=0.5)
        service.signal(signal.SIGTERM)
        wait_until(lambda: sandbox.registered_url() is None)
        assert recorded(record)[2:] == []
        assert service.wait() == 7
    assert recorded(record)[2:] == ["SIGTERM"]


def test_forwards_signals_and_hides_credentials_and_the_terminal(
    environ: dict[str, str], tmp_path: Path
) -> None:
    record = tmp_path / "record"
    with supervised(environ, record) as service:
        wait_until_registered(service)
        service.signal(signal.SIGUSR2)
        for number in ("SIGHUP", "SIGUSR1", "SIGTTIN", "SIGTTOU"):
            service.signal(signal.Signals[number])
            wait_until(partial(is_last, record, number), service.log)
        assert "SIGUSR2" not in recorded(record)
        wait_until_said(service, "signal ignored")
        names = recorded(record)[0].split()
        group, parent = recorded(record)[1].split()[1:]
        assert service.process
        assert int(parent) == service.process.pid
        # Ctrl-C reaches the foreground group: COMMAND has one of its own.
        assert int(group) != os.getpgid(service.process.pid)
        service.signal(signal.SIGINT)
        assert service.wait() == 0
    assert recorded(record)[-1] == "SIGTERM"
    assert not {name for name in names if name.startswith("THINGSPACE_")} - {
        "THINGSPACE_ACCOUNTS",
        "THINGSPACE_BASE_URL",
    }
    assert "CALLBACK_TOKEN" in names


@pytest.mark.slow
def test_a_second_signal_hurries(sandbox: Sandbox, environ: dict[str, str], tmp_path: Path) -> None:
    record = tmp_path / "record"
    with supervised(environ, record) as service:
        wait_until_registered(service)
        sandbox.fault("/api/fota", delay_s=30)
        service.signal(signal.SIGTERM)
        wait_until_said(service, "stopping")
        assert recorded(record)[-1].startswith("group")
        service.signal(signal.SIGTERM)
        assert service.wait(20) == 0
        assert recorded(record)[-1] == "SIGTERM"
        assert has_said(service, "hurrying")
    sandbox.clear_faults()


@pytest.mark.slow
def test_a_command_that_does_not_end_is_killed(environ: dict[str, str], tmp_path: Path) -> None:
    record = tmp_path / "record"
    with supervised(environ, record, "stubborn") as service:
        wait_until_registered(service)
        service.signal(signal.SIGTERM)
        wait_until(lambda: "SIGTERM" in recorded(record), service.log)
        service.signal(signal.SIGTERM)
        assert service.wait(20) == 128 + signal.SIGKILL


def test_a_command_that_dies_is_deregistered_and_its_status_passed_on(
    sandbox: Sandbox, environ: dict[str, str], tmp_path: Path
) -> None:
    with supervised(environ, tmp_path / "record") as service:
        wait_until_registered(service)
        _, command = service.family()
        command.kill()
        assert service.wait() == 128 + signal.SIGKILL
        assert has_said(service, "deregistered")
    assert sandbox.registered_url() is None


@pytest.mark.slow
def test_who_finds_its_port_taken_starts_and_registers_nothing(
    sandbox: Sandbox, environ: dict[str, str], tmp_path: Path
) -> None:
    """Whoever is there answers the readiness check in COMMAND's place."""
    record = tmp_path / "record"
    with supervised(environ, tmp_path / "first") as first:
        wait_until_registered(first)
        calls = len(sandbox.requests())
        second = supervised(environ, record)
        second.settings |= {"PORT": str(first.port), "PUBLIC_URL": first.settings["PUBLIC_URL"]}
        # So that the first one's lease does not keep the second from deregistering.
        second.settings["QUEUE_NAMESPACE"] = "other"
        with second:
            assert second.wait() == 1
            assert has_said(second, "the command is not started: another program listens at PORT")
        assert not record.exists()
        assert len(sandbox.requests()) == calls
        assert sandbox.registered_url() == f"{first.settings['PUBLIC_URL']}/{TOKEN}"


def test_a_port_that_becomes_free_in_time_is_waited_for(
    environ: dict[str, str], tmp_path: Path
) -> None:
    record = tmp_path / "record"
    service = supervised(environ, record)
    with socket.create_server(("127.0.0.1", service.port)) as other, service:
        wait_until_said(service, "waiting for the port to be free")
        assert not record.exists()
        other.close()
        wait_until_registered(service)


def test_told_to_stop_while_its_port_is_taken_it_ends_at_once(
    environ: dict[str, str], tmp_path: Path
) -> None:
    record = tmp_path / "record"
    service = supervised(environ, record)
    with socket.create_server(("127.0.0.1", service.port)), service:
        wait_until_said(service, "waiting for the port to be free")
        service.signal(signal.SIGTERM)
        assert service.wait(3) == 1
    assert not record.exists()


def test_a_port_that_is_taken_is_commands_own_affair_if_it_is_not_to_be_registered(
    environ: dict[str, str],
) -> None:
    service = Service(*REGISTRAR, "run", "--", "sh", "-c", "exit 5", **environ, REGISTRAR="off")
    with socket.create_server(("127.0.0.1", service.port)), service:
        assert service.wait() == 5


def test_a_command_dies_with_a_registrar_that_is_killed(
    environ: dict[str, str], tmp_path: Path
) -> None:
    record = tmp_path / "record"
    with supervised(environ, record) as service:
        wait_until_registered(service)
        pids = [process.pid for process in service.family()]
        service.signal(signal.SIGKILL)
        wait_until(lambda: gone(pids), service.log)
    assert recorded(record)[-1] == "SIGTERM"


def test_orphans_that_come_to_it_are_reaped(environ: dict[str, str]) -> None:
    """As process 1 would be; a subreaper gets its descendants' orphans likewise."""
    adopt = (
        "import ctypes, os, sys; ctypes.CDLL(None).prctl(36, 1); "
        "os.execvp(sys.argv[1], sys.argv[1:])"
    )
    orphan = "(sleep 0.3 & echo orphan $!) ; exec sleep 60"
    command = ["python", "-c", adopt, *REGISTRAR, "run", "--", "sh", "-c", orphan]
    with Service(*command, **environ, REGISTRAR="off") as service:
        wait_until(lambda: "orphan " in service.log(), service.log)
        pid = int(service.log().split("orphan ")[1].split()[0])
        wait_until(lambda: not psutil.pid_exists(pid), service.log)
        service.signal(signal.SIGTERM)
        assert service.wait() == 128 + signal.SIGTERM


@pytest.mark.slow
def test_switched_off_it_only_starts_the_command(sandbox: Sandbox, environ: dict[str, str]) -> None:
    calls = len(sandbox.requests())
    off = {k: v for k, v in environ.items() if not k.startswith("THINGSPACE")}
    with Service(*SUPERVISED, **off, REGISTRAR="off") as service:
        service.wait_until_ready()
        service.signal(signal.SIGTERM)
        assert service.wait() == 0
    assert len(sandbox.requests()) == calls


@pytest.mark.slow
def test_an_unknown_thingspace_does_not_keep_messages_out_and_is_registered_on_its_return(
    redis_url: str, tmp_path: Path
) -> None:
    down_s = float(os.environ.get("REGISTRAR_OUTAGE_S", "0.5"))
    port = free_port()
    absent = Sandbox()
    absent.base_url = f"http://127.0.0.1:{port}/api"
    environ = settings(absent, tmp_path, REDIS_URL=redis_url)
    with Service(*SUPERVISED, **environ) as service:
        service.wait_until_ready()
        wait_until_said(service, "registration not reconciled")
        message = {"type": "upgradeProgress", "accountName": absent.account}
        answer = service.post(json.dumps(message), f"/cb/{TOKEN}")
        assert (answer.status_code, answer.json()["duplicate"]) == (200, False)
        pause(down_s)
        with Sandbox(port=port) as sandbox:
            back = time.monotonic()
            wait_until(lambda: sandbox.registered_url() is not None, service.log, 10)
            print(f"registered {time.monotonic() - back:.1f} s after the return")  # noqa: T201
            service.signal(signal.SIGTERM)
            assert service.wait() == 0
            assert sandbox.registered_url() is None


def pause(seconds: float) -> None:
    """The outage lasts so long; nothing can be polled for while nothing happens."""
    subprocess.run(["sleep", str(seconds)], check=True)


@pytest.mark.slow
def test_standing_alone_it_registers_beside_a_listener_of_somebody_elses(
    sandbox: Sandbox, environ: dict[str, str]
) -> None:
    service = Service(*REGISTRAR, "run", **environ)
    with socket.create_server(("127.0.0.1", service.port)), service:
        wait_until_registered(service)
        service.signal(signal.SIGINT)
        assert service.wait() == 0
    assert sandbox.registered_url() is None


@pytest.mark.slow
def test_ctrl_c_in_a_terminal_deregisters_before_the_command_ends(
    sandbox: Sandbox, environ: dict[str, str]
) -> None:
    """The signal goes to the whole foreground group, as a terminal sends it."""
    with Service(*SUPERVISED, **environ) as service:
        wait_until_registered(service)
        pids = [process.pid for process in service.family()]
        assert service.process
        os.killpg(service.process.pid, signal.SIGINT)
        assert service.wait() == 0
        told = [e["event"] for e in events(service)]
        assert told.index("deregistered") < told.index("Handling signal: term")
        assert gone(pids)
    assert sandbox.registered_url() is None


@pytest.mark.slow
def test_status_is_a_check_and_the_commands_work_while_run_runs(
    sandbox: Sandbox, environ: dict[str, str]
) -> None:
    beside = {**environ, "PUBLIC_URL": "http://127.0.0.1:50559/cb"}
    assert command_line("status", **beside).returncode == 1
    with Service(*REGISTRAR, "run", **beside) as service:
        wait_until_registered(service)
        good = command_line("status", "--json", **beside)
        assert good.returncode == 0, good.stderr
        shown = json.loads(good.stdout)
        assert shown["registrations"][0]["ours"] is True
        assert len(shown["members"]) == 1
        stored = command_line("status", "--stored", **beside)
        assert stored.returncode == 0
        assert "ok as-desired" in stored.stdout

        assert command_line("deregister", **beside).returncode == 0
        assert sandbox.registered_url() is None
        assert command_line("status", **beside).returncode == 1
        assert command_line("register", **beside).returncode == 0
        sandbox.register_outside("https://other.example.com/cb")
        other = command_line("status", **beside)
        assert other.returncode == 1
        assert "other.example.com" in other.stdout
        service.signal(signal.SIGTERM)
        assert service.wait() == 0
        assert sandbox.registered_url() == "https://other.example.com/cb"
        for text in (good.stdout, other.stdout, service.log()):
            assert TOKEN not in text


@contextmanager
def hanging_redis() -> Iterator[tuple[str, list[socket.socket]]]:
    """The URL of a server that accepts connections and never replies, and the connections that it has."""
    accepted: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    accepted.append(server.accept()[0])

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"redis://127.0.0.1:{server.getsockname()[1]}/0", accepted
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in accepted:
                connection.close()


@pytest.mark.slow
def test_status_waits_for_a_hanging_redis_no_longer_with_many_accounts(
    environ: dict[str, str],
) -> None:
    accounts = ",".join(f"0242078689-{number:05}" for number in range(1, 21))
    with hanging_redis() as (url, connections):
        beside = {
            **environ,
            "REDIS_URL": url,
            "PUBLIC_URL": "http://127.0.0.1:50559/cb",
            "THINGSPACE_ACCOUNTS": accounts,
        }
        shown = command_line("status", "--stored", "--json", **beside)
    assert shown.returncode == 1
    report = json.loads(shown.stdout)
    assert len(report["registrations"]) == 20
    assert report["redis"] is False
    # Each connection is a command that was waited for.
    assert len(connections) <= 4


@pytest.mark.parametrize("words", [["run"], ["status"]])
def test_wrong_settings_are_told_all_at_once_with_status_2(words: list[str]) -> None:
    end = command_line(*words, PORT="no-port", REGISTRAR_TAKEOVER="sometimes")
    assert end.returncode == 2
    lines = end.stderr.splitlines()
    named = {line.split(":")[0] for line in lines}
    assert named >= {
        "CALLBACK_TOKEN",
        "PORT",
        "PUBLIC_URL",
        "REGISTRAR_TAKEOVER",
        "THINGSPACE_ACCOUNTS",
        "THINGSPACE_KEY",
        "THINGSPACE_PASSWORD",
        "THINGSPACE_SECRET",
        "THINGSPACE_USERNAME",
    }
    assert len(lines) == len(named)


@pytest.mark.slow
def test_mistakes_at_the_command_line_end_without_a_traceback(environ: dict[str, str]) -> None:
    public = {**environ, "PUBLIC_URL": "http://127.0.0.1:50559/cb"}
    for words, status in (
        (["run", "--", "no-such-program"], 1),
        (["wrong"], 2),
        (["status", "--wrong"], 2),
    ):
        end = command_line(*words, **public)
        assert end.returncode == status, end.stderr
        assert "Traceback" not in end.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a private process table is Linux's")
def test_as_process_1_of_a_container(environ: dict[str, str]) -> None:
    unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let us make a private process table")
    end = subprocess.run(
        [*unshare, BIN / "python", *REGISTRAR[1:], "run", "--", "sh", "-c", "exit 5"],
        cwd=ROOT,
        env={**environ, "PATH": os.environ["PATH"], "REGISTRAR": "off"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert end.returncode == 5, end.stderr
