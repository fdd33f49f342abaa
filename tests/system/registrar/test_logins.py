"""A wrong password must not lock the customer's account, however often a process is restarted."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.polling import wait_until
from testbed.process import ROOT
from testbed.registrar_process import REGISTRAR, command_line, settings
from testbed.sandbox_client import Sandbox
from testbed.service import Service

pytestmark = pytest.mark.slow

LOGIN = "/api/m2m/v1/session/login"
RESTARTS = 30
# Each is a process of its own that runs the whole command. They are forked from one that has loaded the
# program, because loading it thirty times is what would take the time.
RESTARTER = f"""
import os, sys
import registrar.app, registrar.cli.by_hand
from registrar.__main__ import main

def restart():
    if pid := os.fork():
        return pid
    try:
        main(["register"])
    except SystemExit as end:
        sys.stdout.flush()
        os._exit(end.code)
    os._exit(99)

for _ in range({RESTARTS} // 5):
    for pid in [restart() for _ in range(5)]:
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print("status", status, file=sys.stderr, flush=True)
"""
NO_REDIS = "redis://127.0.0.1:1/0"


def restart(environ: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", RESTARTER],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_running_registrar_with_a_wrong_password_behind_a_broken_gateway_does_not_lock_the_account(
    redis_url: str, tmp_path: Path
) -> None:
    """The gateway answers 502, and behind it every login is evaluated."""
    with Sandbox() as sandbox:
        sandbox.fault(LOGIN, when="after", status=502, count=99)
        wrong = settings(sandbox, tmp_path, REDIS_URL=redis_url, THINGSPACE_PASSWORD="a-wrong-one")
        with Service(*REGISTRAR, "run", **wrong) as service:
            wait_until(lambda: '"reason":"login-paced"' in service.log(), service.log)
        with Service(*REGISTRAR, "run", **wrong) as service:
            wait_until(lambda: '"reason":"login-paced"' in service.log(), service.log)
        assert logins(sandbox) == 2
        assert sandbox.lock_state()["failed_logins"] == 2


def test_paced_login_goes_on_at_once_after_unlock(redis_url: str, tmp_path: Path) -> None:
    with Sandbox(allow_http=True) as sandbox:
        sandbox.fault(LOGIN, status=504, count=2)
        environ = settings(sandbox, tmp_path, REDIS_URL=redis_url)
        with Service(*REGISTRAR, "run", **environ) as service:
            wait_until(lambda: '"reason":"login-paced"' in service.log(), service.log)
            unlocked = command_line("unlock", **{**service.settings, **environ})
            assert unlocked.returncode == 0, unlocked.stderr
            wait_until(lambda: sandbox.registered_url() is not None, service.log)
        assert logins(sandbox) == 3


def logins(sandbox: Sandbox) -> int:
    return len(sandbox.requests(path=LOGIN))


@pytest.mark.parametrize("with_redis", [True, False], ids=["redis", "no-redis"])
def test_thirty_restarts_with_a_wrong_password_make_two_logins(
    with_redis: bool, redis_url: str, tmp_path: Path
) -> None:
    with Sandbox() as sandbox:
        right = settings(
            sandbox,
            tmp_path,
            REDIS_URL=redis_url if with_redis else NO_REDIS,
            PUBLIC_URL="http://127.0.0.1:50559/cb",
            REGISTRAR_LEASE_TTL_S="5",
        )
        wrong = {**right, "THINGSPACE_PASSWORD": "a-wrong-password"}
        end = restart(wrong)
        assert end.stderr.count("status 1\n") == RESTARTS, end.stderr
        assert "Traceback" not in end.stderr + end.stdout
        assert logins(sandbox) == 2
        assert sandbox.lock_state()["locked"] is False
        assert "breaker-open" in end.stdout

        shown = command_line("status", "--json", **wrong)
        assert json.loads(shown.stdout)["breaker"]["open"] is True
        assert shown.returncode == 1
        assert logins(sandbox) <= 2

        corrected = command_line("register", **right)
        assert corrected.returncode == 0, corrected.stderr + corrected.stdout

        unlocked = command_line("unlock", **wrong)
        assert unlocked.returncode == 0
        assert "counted 2 of the 5" in unlocked.stdout
        before = logins(sandbox)
        for _ in range(2):
            command_line("register", **wrong)
        assert logins(sandbox) == before + 1
    kept = tmp_path / "spool" / "login-breaker.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    for secret in ("a-wrong-password", Sandbox.password, Sandbox.secret):
        assert secret not in kept.read_text()
