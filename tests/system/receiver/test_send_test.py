"""`send-test` through a real receiver: the message comes, the secrets stay, and each failure is a sentence."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from testbed.ports import free_port
from testbed.process import BIN, ROOT
from testbed.service import RECEIVER, Service

pytestmark = pytest.mark.redis_flavour

TOKEN = "token-of-all-the-tests"
PASSWORD = "correct-horse-battery"
ACCOUNT = "0242078689-00001"
PROOF = {
    "CALLBACK_TOKEN": TOKEN,
    "CALLBACK_USERNAME": "listener",
    "CALLBACK_PASSWORD": PASSWORD,
    "THINGSPACE_ACCOUNTS": f"{ACCOUNT},0242078689-00002",
}
STREAM = "{fota:0}:messages"


@pytest.fixture(scope="module")
def receiver(redis_server: str) -> Iterator[Service]:
    """One for the module: each test sends a message of its own."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    with Service(*RECEIVER, **PROOF, REDIS_URL=redis_server, WEB_CONCURRENCY="1") as service:
        service.wait_until_ready()
        yield service


@pytest.fixture(scope="module")
def stream(redis_server: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_server, decode_responses=True) as client:
        yield client


def send_test(
    service: Service | None, *words: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    """The command with the settings of a service, and others."""
    environ = {"PATH": os.environ["PATH"], **(service.settings if service else PROOF), **settings}
    command = [str(BIN / "python"), "-m", "listener", "send-test", "--wait", "1", *words]
    done = subprocess.run(
        command, cwd=ROOT, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    shown = done.stdout + done.stderr
    assert TOKEN not in shown
    assert PASSWORD not in shown
    assert "Traceback" not in shown
    return done


def test_message_comes_and_is_recognisable_and_without_secrets(
    receiver: Service, stream: Any
) -> None:
    stream.xgroup_create(STREAM, "billing", "0", mkstream=True)
    done = send_test(receiver)
    assert (done.returncode, done.stderr) == (0, "")
    posted, answered, place, groups = done.stdout.splitlines()
    assert posted == f"POST {receiver.url}/cb/***"
    assert "200 after " in answered
    entry_id, fields = stream.xrevrange(STREAM, count=1)[0]
    assert place == f"It is in the queue as {entry_id}, partition 0."
    assert groups == (
        "1 group (billing) will get it: kind unknown, type com.verizon.thingspace.fota.listenerTest."
    )
    assert (fields["kind"], fields["account"]) == ("unknown", ACCOUNT)
    assert fields["type"] == "com.verizon.thingspace.fota.listenerTest"
    assert "subject" not in fields
    data = json.loads(fields["data"])
    assert data.keys() == {"type", "accountName", "listenerTest"}
    assert data["listenerTest"]["testId"] == fields["requestid"]


def test_each_test_is_a_message_of_its_own_and_json_says_the_same(
    receiver: Service, stream: Any
) -> None:
    told = [json.loads(send_test(receiver, "--json").stdout) for _ in range(2)]
    assert [one["duplicate"] for one in told] == [False, False]
    for one in told:
        [(_, fields)] = stream.xrange(STREAM, one["entry"], one["entry"])
        assert (one["status"], one["problem"], one["id"]) == (200, None, fields["id"])
        assert one["request_id"] == fields["requestid"]


def test_secrets_may_come_from_files_and_another_account_may_be_named(
    receiver: Service, stream: Any, tmp_path: Path
) -> None:
    files: dict[str, str] = {}
    for name in ("CALLBACK_TOKEN", "CALLBACK_PASSWORD"):
        (tmp_path / name).write_text(PROOF[name] + "\n")
        (tmp_path / name).chmod(0o600)
        files |= {name: "", f"{name}_FILE": str(tmp_path / name)}
    done = send_test(receiver, "--account", "0242078689-00002", **files)
    assert done.returncode == 0, done.stderr
    assert stream.xrevrange(STREAM, count=1)[0][1]["account"] == "0242078689-00002"


@pytest.mark.parametrize(
    ("settings", "words", "says"),
    [
        (
            {"CALLBACK_PASSWORD": "another-battery"},
            (),
            "401 credentials-wrong: CALLBACK_USERNAME or",
        ),
        ({}, ("--account", "0242078689-00009"), "403 account-refused"),
    ],
)
def test_refusal_of_the_service_names_the_setting(
    receiver: Service, settings: dict[str, str], words: tuple[str, ...], says: str
) -> None:
    done = send_test(receiver, *words, **settings)
    assert done.returncode == 1
    assert says in done.stderr


def test_another_namespace_or_server_is_another_deployment(receiver: Service) -> None:
    done = send_test(receiver, "--wait", "0", "--json", QUEUE_NAMESPACE="other")
    assert (done.returncode, "another deployment answered" in done.stderr) == (1, True)
    told = json.loads(done.stdout)
    assert (told["status"], told["entry"]) == (200, None)
    away = send_test(receiver, REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    assert (away.returncode, "whether in this queue cannot be said" in away.stderr) == (1, True)


def test_message_that_waits_in_the_spool_is_found_there(redis_server: str) -> None:
    del redis_server
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    settings = {**PROOF, "REDIS_URL": nowhere, "ACK_BUDGET_MS": "50", "WEB_CONCURRENCY": "1"}
    with Service(*RECEIVER, **settings) as service:
        service.wait_until_ready()
        done = send_test(service)
        assert done.returncode == 0, done.stderr
        assert "It is in the spool of this host (waiting)" in done.stdout


def test_public_url_is_needed_and_secrets_are_no_arguments() -> None:
    unset = send_test(None, PUBLIC_URL="")
    assert (unset.returncode, "PUBLIC_URL: must be set" in unset.stderr) == (2, True)
    help_ = send_test(None, "--help").stdout
    assert "--token" not in help_
    assert "--password" not in help_
