"""Errors of the machine around: by hand a sentence and a status, and while it runs one line, never a traceback."""

import json
from pathlib import Path
from typing import Any

import pytest
import redis

from testbed.polling import wait_until
from testbed.registrar_process import REGISTRAR, command_line, events, settings, wait_until_said
from testbed.sandbox_client import Sandbox
from testbed.service import Service

HTTPS = {"THINGSPACE_BASE_URL": "https://127.0.0.1:1/api"}
GONE = "/nowhere/ca.pem"


@pytest.mark.quick_cases(4)
@pytest.mark.parametrize(
    ("command", "environ", "says"),
    [
        (
            "register",
            {"REQUESTS_CA_BUNDLE": GONE},
            f"REQUESTS_CA_BUNDLE names {GONE}: No such file",
        ),
        ("status", {"CURL_CA_BUNDLE": GONE}, f"CURL_CA_BUNDLE names {GONE}: No such file"),
        (
            "deregister",
            {"HTTPS_PROXY": "socks5://127.0.0.1:1080"},
            "HTTPS_PROXY names a SOCKS proxy",
        ),
        (
            "register",
            {"https_proxy": "http://[x"},
            "https_proxy is not the URL of an http or https proxy",
        ),
        ("status", {"ALL_PROXY": "http://127.0.0.1:1"}, "ALL_PROXY names: Connection refused"),
        ("deregister", {}, "unreachable: Connection refused"),
    ],
    ids=["bundle", "curl-bundle", "socks", "malformed", "proxy-down", "down"],
)
def test_command_by_hand_says_what_is_wrong_with_the_machine(
    command: str, environ: dict[str, str], says: str, redis_url: str, tmp_path: Path
) -> None:
    chosen = settings(Sandbox(), tmp_path, REDIS_URL=redis_url, **HTTPS, **environ)
    ended = command_line(command, **chosen, PUBLIC_URL="https://fota.example.com/cb")
    assert ended.returncode == 1
    assert says in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr


def test_running_registrar_logs_such_an_error_once(redis_url: str, tmp_path: Path) -> None:
    chosen = settings(Sandbox(), tmp_path, REDIS_URL=redis_url, REQUESTS_CA_BUNDLE=GONE, **HTTPS)
    with Service(*REGISTRAR, "run", **chosen) as service:
        wait_until_said(service, "registration not reconciled")
        wait_until(lambda: ticks(redis_url) > 3, service.log)
        failures = [e for e in events(service) if e["event"] == "registration not reconciled"]
        assert [one["reason"] for one in failures] == ["certificates-unreadable"]
        assert GONE in failures[0]["detail"]
        assert "Traceback" not in service.log()


def ticks(redis_url: str) -> int:
    """How often the mutex was taken, as the last tick that was stored says."""
    with redis.Redis.from_url(redis_url) as client:
        stored: Any = client.hvals("{fota:registrar}:observations")
    return max((int(json.loads(text)["fence"]) for text in stored), default=0)
