"""The receiver under a real gunicorn: the contract as curl sees it."""

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest
import redis
import requests

from testbed.process import ROOT
from testbed.redis_servers import redis_process
from testbed.service import RECEIVER, SUPERVISED, Service

pytestmark = pytest.mark.redis_flavour

SAMPLES = sorted((Path(__file__).parents[3] / "listener" / "messages" / "samples").glob("*.json"))
LOGIN = {"username": "listener", "password": "correct-horse-battery"}
PROOF = {
    "CALLBACK_TOKEN": "token-of-all-the-tests",
    "CALLBACK_USERNAME": LOGIN["username"],
    "CALLBACK_PASSWORD": LOGIN["password"],
    "THINGSPACE_API_VERSIONS": "v1,v2",
}
PATH = "/cb/token-of-all-the-tests"
STREAM = "{fota:0}:messages"


@pytest.fixture(scope="module")
def receiver(redis_server: str) -> Iterator[Service]:
    """One for the whole module: its tests use messages of their own."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    with Service(*RECEIVER, **PROOF, REDIS_URL=redis_server) as service:
        service.wait_until_ready()
        yield service


@pytest.fixture(scope="module")
def stream(redis_server: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_server, decode_responses=True) as client:
        yield client


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_sent_twice_is_kept_once(sample: Path, receiver: Service, stream: Any) -> None:
    replies = [receiver.post(sample.read_bytes(), PATH) for _ in range(2)]
    assert [reply.status_code for reply in replies] == [200, 200]
    answers = [reply.json() for reply in replies]
    assert [answer["duplicate"] for answer in answers] == [False, True]
    fields = [fields for _, fields in stream.xrange(STREAM) if fields["id"] == answers[0]["id"]]
    assert len(fields) == 1
    sent = json.loads(sample.read_bytes())
    kept = {name: value for name, value in sent.items() if name not in LOGIN}
    assert json.loads(fields[0]["data"]) == kept


def test_twenty_identical_messages_at_once_are_one_entry(receiver: Service, stream: Any) -> None:
    body = json.dumps({**LOGIN, "type": "upgradeFinished", "upgradeFinished": {"upgradeId": "20"}})
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: receiver.post(body, PATH), range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert sorted(answer.json()["duplicate"] for answer in answers) == [False] + [True] * 19
    subjects = [fields.get("subject") for _, fields in stream.xrange(STREAM)]
    assert subjects.count("20") == 1


def test_a_chunked_body_is_read_and_an_endless_one_is_cut_off(receiver: Service) -> None:
    whole = json.dumps({**LOGIN, "n": "chunked"}).encode()
    assert receiver.post(iter([whole[:10], whole[10:]]), PATH).status_code == 200
    endless = (b"x" * 2**20 for _ in range(5))
    try:
        assert receiver.post(endless, PATH).status_code == 413
    except requests.ConnectionError:
        # The answer came before the body was sent, and the connection was closed on it.
        pass
    assert receiver.ready()


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 100\r\n\r\n{}",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}",
    ],
    ids=["shorter than announced", "chunks that are none", "chunks that end too soon"],
)
def test_a_broken_body_is_a_bad_request(rest: bytes, receiver: Service) -> None:
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=10) as connection:
        connection.sendall(f"POST {PATH} HTTP/1.1\r\nHost: h\r\n".encode() + rest)
        connection.shutdown(socket.SHUT_WR)
        answer = HTTPResponse(connection)
        answer.begin()
        content = answer.read()
    assert answer.status == 400
    assert json.loads(content)["reason"] == "bad-request"


@pytest.mark.parametrize("path", ["/cb", "/cb/token-of-all-the-tesT", "/", "/%00", "//cb"])
def test_another_path_is_404_in_problem_json(path: str, receiver: Service) -> None:
    answer = receiver.post(json.dumps(LOGIN), path)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_wrong_settings_end_it_with_status_2_and_all_problems(redis_server: str) -> None:
    settings = {"REDIS_URL": "nonsense", "DEDUPE_WINDOW_S": "soon", "CALLBACK_TOKEN": "a/b"}
    with Service(*RECEIVER, **settings) as service:
        assert service.wait() == 2
        for name in settings:
            assert f"{name}: " in service.log()
        assert "Traceback" not in service.log()


@pytest.mark.parametrize("command", [RECEIVER, SUPERVISED], ids=["gunicorn", "registrar"])
def test_token_that_can_be_guessed_ends_it_with_status_2(
    command: tuple[str, ...], redis_server: str
) -> None:
    token = "Hunter2-Hunter2"
    settings = {"REDIS_URL": redis_server, "REGISTRAR": "off", "CALLBACK_TOKEN": token}
    with Service(*command, **settings) as service:
        assert service.wait() == 2
        assert service.family() == []
        log = service.log()
    assert log.count("CALLBACK_TOKEN: can be guessed: it needs 16 characters or more") == 1, log
    assert "secrets.token_urlsafe(24)" in log
    assert token not in log
    assert "Traceback" not in log


def test_token_that_is_weak_is_warned_of_once_and_serves_all_the_same(redis_server: str) -> None:
    token, previous = "Hunter2-Hunter2-Hunter2"[:21], "Hunter1"
    settings = {"CALLBACK_TOKEN": token, "CALLBACK_TOKEN_PREVIOUS": previous}
    with Service(*RECEIVER, **settings, REDIS_URL=redis_server) as service:
        service.wait_until_ready()
        for secret in (token, previous):
            assert service.post(b"{", f"/cb/{secret}").status_code == 400
        log = service.log()
    warnings = [
        line for line in map(json.loads, log.splitlines()) if line["event"] == "token is weak"
    ]
    assert {line["setting"]: line["problem"] for line in warnings} == {
        "CALLBACK_TOKEN": "is short for a secret",
        "CALLBACK_TOKEN_PREVIOUS": "can be guessed",
    }
    assert len(warnings) == 2
    assert {line["level"] for line in warnings} == {"warning"}
    assert token not in log
    assert previous not in log


def test_without_a_spool_redis_down_is_503_within_two_seconds_and_mends_by_itself() -> None:
    body = json.dumps({**LOGIN, "n": "outage"})
    with tempfile.TemporaryDirectory(prefix="fota-") as folder:
        url = f"unix://{folder}/redis.sock"
        with Service(*RECEIVER, **PROOF, REDIS_URL=url, SPOOL_DIR="") as service:
            with redis_process.running(Path(folder)):
                service.wait_until_ready()
            assert_503_in_time(service, body)
            with redis_process.running(Path(folder)) as again:
                assert service.post(body, PATH).status_code == 200
                with redis.Redis.from_url(again) as client:
                    info: Any = client.info("server")
                os.kill(info["process_id"], signal.SIGSTOP)
                try:
                    assert_503_in_time(service, json.dumps({**LOGIN, "n": "hanging"}))
                finally:
                    os.kill(info["process_id"], signal.SIGCONT)


def assert_503_in_time(service: Service, body: str) -> None:
    started = time.monotonic()
    answer = service.post(body, PATH)
    # The provider sends a duplicate after about 4 s; the contract says two.
    assert time.monotonic() - started < 2
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert answer.json()["reason"] == "queue-unavailable"


def test_tail_prints_a_line_for_each_message(receiver: Service) -> None:
    upgrade = {"upgradeId": "tailtest", "status": "UpgradeSuccess"}
    message = {**LOGIN, "type": "upgradeFinished", "upgradeFinished": upgrade}
    receiver.post(json.dumps(message), PATH)
    with subprocess.Popen(
        ["python", "-m", "listener", "tail", "--from", "start"],
        cwd=ROOT,
        env=receiver.settings,
        stdout=subprocess.PIPE,
        text=True,
        # A shell's background, where tests may run, ignores Ctrl-C, and so would what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as tail:
        try:
            assert tail.stdout is not None
            line = next(line for line in tail.stdout if "tailtest" in line)
            assert "upgrade-finished" in line
            assert "UpgradeSuccess" in line
        finally:
            tail.send_signal(signal.SIGINT)
    assert tail.returncode == 0
