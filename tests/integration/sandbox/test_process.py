"""The sandbox as a process: how it starts and ends, and how it holds under many callers."""

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from testbed.polling import wait_until
from testbed.process import ROOT
from testbed.sandbox_client import Sandbox, SandboxFailedError

REPLICAS = 3
ROUNDS = 40


class Registrar:
    """What a registrar does with the API, in few words."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.session = requests.Session()
        self.session.trust_env = False

    def authorize(self) -> "Registrar":
        sandbox = self.sandbox
        form = {"grant_type": "client_credentials"}
        basic = (sandbox.key, sandbox.secret)
        token = self.call("POST", "/ts/v1/oauth2/token", data=form, auth=basic).json()
        self.session.headers["Authorization"] = f"Bearer {token['access_token']}"
        login = {"username": sandbox.username, "password": sandbox.password}
        session = self.call("POST", "/m2m/v1/session/login", json=login).json()
        self.session.headers["VZ-M2M-Token"] = session["sessionToken"]
        return self

    def call(self, method: str, path: str, **arguments: Any) -> requests.Response:
        url = self.sandbox.base_url + path
        return self.session.request(method, url, timeout=30, **arguments)

    def callbacks(self, method: str, **arguments: Any) -> requests.Response:
        return self.call(method, f"/fota/v1/callbacks/{self.sandbox.account}", **arguments)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_even_amid_work(number: signal.Signals) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, Sandbox() as sandbox:
        sandbox.register_outside(f"http://127.0.0.1:{silent.getsockname()[1]}/")
        sandbox.send({"accountName": sandbox.account})
        wait_until(lambda: bool(sandbox.deliveries()[0]["attempts"]))
        os.kill(sandbox.pid, number)
        wait_until(lambda: psutil.Process(sandbox.pid).status() == psutil.STATUS_ZOMBIE)
        assert sandbox.stop() == 0
        assert sandbox.errors() == ""


def test_it_ends_with_the_process_that_started_it() -> None:
    starter = (
        "import sys, time; from testbed.sandbox_client import Sandbox; s = Sandbox(); s.start();"
        "print(s.pid, flush=True); time.sleep(600)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", starter]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        orphan = int(parent.stdout.readline())
        parent.kill()
    wait_until(lambda: not alive(orphan))


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_it_says_in_one_line_where_it_is_and_no_secret(sandbox: Sandbox) -> None:
    assert re.fullmatch(r"http://127\.0\.0\.1:[1-9][0-9]*/api", sandbox.base_url)
    assert sandbox.errors() == ""


def test_a_taken_port_and_bad_options_are_told_without_a_traceback(sandbox: Sandbox) -> None:
    port = sandbox.root_url.rpartition(":")[2]
    for options, says in [
        (["--port", port], "in use"),
        (["--account", "42"], "not of the form"),
        (["--retry-after-min", "3", "--retry-after-max", "1"], "greater than"),
    ]:
        command = [sys.executable, "-m", "sandbox", *options]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert ended.returncode != 0
        assert says in ended.stderr
        assert "Traceback" not in ended.stderr


def test_the_helper_says_why_the_sandbox_did_not_come_up() -> None:
    with pytest.raises(SandboxFailedError, match="No such option"):
        Sandbox(unheard_of=True).start()


def test_the_help_has_an_example() -> None:
    command = [sys.executable, "-m", "sandbox", "--help"]
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "Example:" in text
    assert "guess" in text


def test_a_dropped_connection_has_no_answer_and_perhaps_an_effect(sandbox: Sandbox) -> None:
    registrar = Registrar(sandbox).authorize()
    body = {"name": "Fota", "url": "https://listener.example/x"}
    for when, effect in (("before", None), ("after", body["url"])):
        sandbox.fault("/api/fota", drop=True, when=when)
        with pytest.raises(requests.ConnectionError):
            registrar.callbacks("POST", json=body)
        assert sandbox.registered_url() == effect
    dropped = sandbox.requests(path="/api/fota")[-1]
    assert (dropped["status"], dropped["fault"]) == (None, True)
    assert dropped["ended"] is not None
    sandbox.deregister_outside()


def test_calls_made_one_after_the_other_never_overlap_in_the_record(sandbox: Sandbox) -> None:
    registrar = Registrar(sandbox).authorize()
    last = sandbox.requests()[-1]["id"]
    for _ in range(20):
        registrar.callbacks("GET")
    calls = sandbox.requests(after=last)
    assert len(calls) == 20
    for earlier, later in itertools.pairwise(calls):
        assert earlier["started"] <= earlier["ended"] <= later["started"]


@pytest.mark.slow
def test_replicas_and_a_stream_of_messages_do_not_disturb_it() -> None:
    with Sandbox(retry_after_min=0.01, retry_after_max=0.02) as sandbox:
        before = psutil.Process(sandbox.pid).num_threads()
        with ThreadPoolExecutor(REPLICAS + 1) as pool:
            replicas = [pool.submit(reconcile, sandbox, number) for number in range(REPLICAS)]
            sender = pool.submit(send_many, sandbox)
            assert sum(replica.result() for replica in replicas) == REPLICAS * ROUNDS
            assert sender.result() == list(range(1, ROUNDS + 1))
        assert sandbox.errors() == ""
        wait_until(lambda: sandbox.counts()["pending"] == 0)
        assert sandbox.counts()["unregistered"] + sandbox.counts()["lost"] == ROUNDS
        posts = sandbox.requests(path="/api/fota", method="POST")
        changes = sandbox.registrations()["history"]
        assert len(posts) == len(changes) == REPLICAS * ROUNDS
        # A thread ends with its request: none is left over.
        wait_until(lambda: psutil.Process(sandbox.pid).num_threads() <= before + 2)


def reconcile(sandbox: Sandbox, number: int) -> int:
    registrar = Registrar(sandbox).authorize()
    # Nobody listens on port 1: a delivery fails, and is over, without delay.
    body = {"name": "Fota", "url": f"http://127.0.0.1:1/{number}"}
    good = 0
    for _ in range(ROUNDS):
        written, read = registrar.callbacks("POST", json=body), registrar.callbacks("GET")
        good += written.ok and len(read.json()) == 1
    return good


def send_many(sandbox: Sandbox) -> list[int]:
    message = {"accountName": sandbox.account}
    return [sandbox.send(message)["id"] for _ in range(ROUNDS)]


def test_the_samples_can_be_sent_as_curl_would(sandbox: Sandbox) -> None:
    paths = sorted((Path(__file__).parents[3] / "listener" / "messages" / "samples").glob("*.json"))
    assert paths
    for path in paths:
        answer = requests.post(
            f"{sandbox.root_url}/sandbox/messages",
            data=path.read_bytes(),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            timeout=30,
        )
        assert answer.status_code == 202
        found = sandbox.delivery(answer.json()["id"])
        assert found["account"] == json.loads(path.read_text())["accountName"]
