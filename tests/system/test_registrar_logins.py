"""A wrong password must not lock the customer's account, however often a process is restarted."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.registrar_process import command_line, settings
from tests.sandbox_process import Sandbox

RESTARTS = 30
NO_REDIS = "redis://127.0.0.1:1/0"


def logins(sandbox: Sandbox) -> int:
    return len(sandbox.requests(path="/api/m2m/v1/session/login"))


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
        with ThreadPoolExecutor(4) as pool:
            ends = list(pool.map(lambda _: command_line("register", **wrong), range(RESTARTS)))
        assert {end.returncode for end in ends} == {1}
        assert not [end.stderr for end in ends if "Traceback" in end.stderr + end.stdout]
        assert logins(sandbox) <= 2
        assert sandbox.lock_state()["locked"] is False
        assert "breaker-open" in ends[-1].stdout

        shown = command_line("status", "--json", **wrong)
        assert json.loads(shown.stdout)["breaker"]["open"] is True
        assert shown.returncode == 1
        assert logins(sandbox) <= 2

        corrected = command_line("register", **right)
        assert corrected.returncode == 0, corrected.stderr + corrected.stdout

        assert command_line("unlock", **wrong).returncode == 0
        before = logins(sandbox)
        command_line("register", **wrong)
        assert logins(sandbox) == before + 1
    kept = tmp_path / "login-breaker.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    for secret in ("a-wrong-password", Sandbox.password, Sandbox.secret):
        assert secret not in kept.read_text()
