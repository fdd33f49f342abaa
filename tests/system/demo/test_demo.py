"""`bin/run` as a newcomer meets it, less the installation: `python -m sandbox.demo`."""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from testbed.polling import wait_until
from testbed.process import BIN, ROOT, ChildProcess
from testbed.programs import find_program
from testbed.service import Service

# Everything is started, a campaign is played, and three sweeps are commands of their own.
PLAYED_WITHIN_S = 90.0
ENVIRON = {"PATH": f"{BIN}:{os.environ['PATH']}"}
# What a delivery that went well says of itself, and `check` when it has found nothing.
NO_PROBLEM = r'"error":null|0 errors, 0 warnings'


@pytest.fixture
def demo(redis_server: str, tmp_path: Path) -> Iterator[Service]:
    # The fixture's server is not used, but where there is none this test cannot run either.
    with Service("python", "-m", "sandbox.demo", str(tmp_path)) as running:
        yield running


def test_the_demonstration_shows_a_campaign_and_leaves_nothing(demo: Service) -> None:
    wait_until(
        lambda: "Ctrl-C deregisters" in demo.log() or demo.ended(), demo.log, PLAYED_WITHIN_S
    )
    shown = demo.log()
    assert f"Registered with the stand-in: {demo.url}/CallbackListener/" in shown
    messages = re.findall(r"^  \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ  \w+-\w+ .*$", shown, re.MULTILINE)
    assert len(messages) >= 8
    assert sum("firmware-available" in line for line in messages) == 1
    assert any("UpgradeFailed" in line for line in messages)
    assert "12 deliveries, 12 acknowledged, 11 messages in the queue" in shown
    assert [line for line in messages if "recovered" in line] == messages[-1:]
    assert "1 message was recovered" in shown

    family = demo.family()
    assert len(family) > 5, "redis, sandbox, registrar, gunicorn with workers, consumer"
    demo.signal(signal.SIGINT)
    assert demo.wait() == 0, demo.log()
    assert "Deregistered" in demo.log()
    assert psutil.wait_procs(family, timeout=10)[1] == []


def test_hints_work_as_they_are_printed(demo: Service) -> None:
    wait_until(
        lambda: "Ctrl-C deregisters" in demo.log() or demo.ended(), demo.log, PLAYED_WITHIN_S
    )
    hints = demo.log().partition("Try it by hand")[2]
    commands = re.findall(r"^    (\S.*)$", hints, re.MULTILINE)
    assert len(commands) == 4
    for command in commands:
        if command.startswith("curl"):
            find_program("curl")
        done = subprocess.run(
            ["bash", "-c", command],
            # A shell of its own, without what the demonstration has.
            env=ENVIRON,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        output = done.stdout + done.stderr
        assert done.returncode == 0, output
        assert done.stdout, command
        assert not re.search(r"warning|error\b|Traceback", re.sub(NO_PROBLEM, "", output)), output
    assert "0 errors, 0 warnings" in output, "the last one is `check`"
    pages = re.findall(r"(http://\S+?)(?=[\s)])", re.sub(r"(?m)^    .*$", "", hints))
    assert len(pages) == 3
    for page in pages:
        assert requests.get(page, timeout=10).status_code == 200


def test_help_is_printed_and_nothing_is_started() -> None:
    with ChildProcess("python", "-m", "sandbox.demo", "--help", environ=ENVIRON) as demo:
        assert demo.wait() == 0
        assert demo.log().startswith("Usage: python -m sandbox.demo")
        assert "run: " not in demo.log()


@pytest.mark.slow
def test_a_redis_that_the_user_names_is_used(demo: Service, redis_url: str) -> None:
    demo.kill()
    demo.settings["REDIS_URL"] = redis_url
    demo.start()
    wait_until(
        lambda: "Ctrl-C deregisters" in demo.log() or demo.ended(), demo.log, PLAYED_WITHIN_S
    )
    assert "using the Redis server that REDIS_URL names" in demo.log()
    assert "11 messages in the queue" in demo.log()
    os.kill(demo.family()[0].pid, signal.SIGTERM)
    assert demo.wait() == 0


@pytest.mark.slow
def test_a_service_that_does_not_come_up_is_told_with_its_log(demo: Service) -> None:
    demo.kill()
    demo.settings["LOG_LEVEL"] = "nonsense"
    demo.start()
    assert demo.wait() == 1
    assert "LOG_LEVEL: " in demo.log()
    assert "Traceback" not in demo.log()


def test_a_port_that_is_taken_is_told(demo: Service) -> None:
    demo.kill()
    with socket.create_server(("127.0.0.1", 0)) as other:
        demo.settings["PORT"] = str(other.getsockname()[1])
        demo.start()
        assert demo.wait() == 1
    assert "is taken by another process" in demo.log()
