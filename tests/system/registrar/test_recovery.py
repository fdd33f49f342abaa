"""Lost messages, with real processes: a listener that is away in the middle of campaigns, a slow ThingSpace, SIGKILL."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
import requests

from testbed.polling import DeadlineError, wait_until
from testbed.process import BIN, ROOT
from testbed.registrar_process import REGISTRAR, command_line, settings, wait_until_registered
from testbed.sandbox_client import Sandbox
from testbed.service import SUPERVISED, Service

pytestmark = [pytest.mark.slow, pytest.mark.redis_flavour]

VERSIONS = ("v1", "v2", "v3")
DEVICES = 200
# Each version's campaign goes on for some ten seconds, of which the listener is away for four.
PACE_S = 0.05
AWAY_S = 4
ACCOUNT = "0242078689-00001"
STREAM = "{fota:0}:messages"
UPGRADES = "{fota:registrar}:recovery:upgrades:" + ACCOUNT + "/v1"
FLEET = ROOT / "docs" / "examples" / "fleet_state.py"
SCHEDULED, STARTED, FINISHED = "upgrade-scheduled", "upgrade-started", "upgrade-finished"
# An upgrade, a kind and, but for what is scheduled, a device.
Fact = tuple[str, str, str | None]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(allow_http=True) as running:
        yield running


@pytest.fixture
def environ(sandbox: Sandbox, redis_url: str, tmp_path: Path) -> dict[str, str]:
    return settings(
        sandbox,
        tmp_path,
        REDIS_URL=redis_url,
        THINGSPACE_API_VERSIONS=",".join(VERSIONS),
        RECOVERY_SECOND_LOOK_S="0",
    )


def recover(environ: dict[str, str], mode: str = "report") -> dict[str, Any]:
    done = command_line("recover", "--json", **{**environ, "RECOVERY": mode})
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def start_campaigns(sandbox: Sandbox, **more: Any) -> dict[str, str]:
    """A campaign in each version; returns the version of each upgrade."""
    versions = {}
    for version in VERSIONS:
        wanted = {"version": version, "devices": DEVICES, "upgrades": 2, "envelope": "v1", **more}
        number = sandbox.control("POST", "/campaigns", json=wanted)["number"]
        for one in sandbox.control("GET", f"/campaigns/{number}/upgrades")["upgrades"]:
            versions[one["id"]] = version
    return versions


class Rest:
    """ThingSpace's REST API, to see what it says."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._base_url = sandbox.base_url
        credentials = (sandbox.key, sandbox.secret)
        grant = {"grant_type": "client_credentials"}
        token = self._post("/ts/v1/oauth2/token", data=grant, auth=credentials)["access_token"]
        self._headers = {"Authorization": f"Bearer {token}"}
        login = {"username": sandbox.username, "password": sandbox.password}
        self._headers["VZ-M2M-Token"] = self._post(
            "/m2m/v1/session/login", json=login, headers=self._headers
        )["sessionToken"]

    def statuses(self, version: str, upgrade: str) -> dict[str, str]:
        """The state of each device of an upgrade."""
        path = f"/reports/{ACCOUNT}/campaigns/{upgrade}/devices"
        if version == "v1":
            path = f"/upgrades/{ACCOUNT}/upgrade/{upgrade}"
        url = f"{self._base_url}/fota/{version}{path}"
        devices = requests.get(url, headers=self._headers, timeout=30).json()["deviceList"]
        return {device["deviceId"]: device["status"] for device in devices}

    def _post(self, path: str, **arguments: Any) -> Any:
        return requests.post(f"{self._base_url}{path}", timeout=30, **arguments).json()


def facts_in(client: "redis.Redis", *, recovered: bool) -> list[Fact]:
    """What every message in the queue says that is, or is not, recovered."""
    facts: list[Fact] = []
    entries: Any = client.xrange(STREAM)
    for _, fields in entries:
        data = json.loads(fields["data"])
        if ("origin" in fields) == recovered and "subject" in fields:
            about = data["recovered"] if recovered else data[data["type"]]
            facts.append((fields["subject"], fields["kind"], about.get("deviceId")))
    return facts


def reported(report: dict[str, Any], verdict: str) -> set[Fact]:
    """What `recover` says of devices and, where no device is named, of upgrades."""
    return {
        (one["upgrade"], kind, device)
        for one in report["upgrades"]
        for kind, found in one["kinds"].items()
        if found["devices"] or found["verdict"] == verdict
        for device in found["devices"] or [None]
    }


def everything_sent(states: dict[str, dict[str, str]]) -> set[Fact]:
    """By upgrade, the devices: one message that it is scheduled, and two of each device."""
    scheduled: set[Fact] = {(upgrade, SCHEDULED, None) for upgrade in states}
    return scheduled | {
        (upgrade, kind, device)
        for upgrade, devices in states.items()
        for device in devices
        for kind in (STARTED, FINISHED)
    }


def is_provable(fact: Fact, version: str, status: str) -> bool:
    """Whether the reports prove that the message was due: in v2 no start, and of a failed device one in v3 alone."""
    _, kind, _ = fact
    return kind != STARTED or version == "v3" or (version == "v1" and status == "UpgradeSuccess")


def is_over(sandbox: Sandbox) -> bool:
    """Whether every campaign has ended, and nothing is under way any more."""
    for batch in sandbox.control("GET", "/campaigns")["campaigns"]:
        upgrades = sandbox.control("GET", f"/campaigns/{batch['number']}/upgrades")["upgrades"]
        if any(one["stage"] != "done" for one in upgrades):
            return False
    return not sandbox.control("GET", "/deliveries", params={"result": "pending"})["deliveries"]


def test_what_is_lost_while_the_listener_is_away_is_found_and_nothing_else(
    sandbox: Sandbox, environ: dict[str, str], redis_client: "redis.Redis", tmp_path: Path
) -> None:
    with Service(*SUPERVISED, **environ, REGISTRAR_DEREGISTER="never") as service:
        wait_until_registered(service)
        environ = {**environ, "PUBLIC_URL": service.settings["PUBLIC_URL"]}
        recover(environ)
        versions = start_campaigns(sandbox, pace_s=PACE_S * 2, failures=0.1)
        wait_until(lambda: len(facts_in(redis_client, recovered=False)) > DEVICES, service.log)
        # The URL stays registered: ThingSpace calls it in vain.
        service.stop()
        time.sleep(AWAY_S)
        service.start()
        service.wait_until_ready()
        wait_until(lambda: is_over(sandbox), service.log, timeout_s=120)
        rest = Rest(sandbox)
        states = {upgrade: rest.statuses(version, upgrade) for upgrade, version in versions.items()}
        came = set(facts_in(redis_client, recovered=False))
        lost = everything_sent(states) - came
        assert len(lost) > DEVICES / 4
        due = {
            fact
            for fact in lost
            if is_provable(fact, versions[fact[0]], states[fact[0]].get(fact[2] or "", ""))
        }
        recover(environ)
        assert reported(recover(environ), "missing") == due
        assert not facts_in(redis_client, recovered=True)
        recover(environ, "queue")
        recovered = facts_in(redis_client, recovered=True)
        assert sorted(recovered, key=str) == sorted(due, key=str)
        recover(environ, "queue")
        assert len(facts_in(redis_client, recovered=True)) == len(recovered)
    expected = {device: status for devices in states.values() for device, status in devices.items()}
    assert fleet_statuses(environ["REDIS_URL"], tmp_path, expected) == expected


def fleet_statuses(redis_url: str, folder: Path, expected: dict[str, str]) -> dict[str, str]:
    """The states in the database of the worked example, once it has read everything."""
    database = folder / "fleet.sqlite3"
    environ = {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        # The example lies in another folder than the packages.
        "PYTHONPATH": str(ROOT),
        "REDIS_URL": redis_url,
        "DATABASE_URL": f"sqlite:///{database}",
    }

    def statuses() -> dict[str, str]:
        with closing(sqlite3.connect(database)) as connection:
            return dict(connection.execute("SELECT device_id, status FROM devices"))

    command = [sys.executable, str(FLEET), "consume"]
    with subprocess.Popen(command, cwd=ROOT, env=environ, stderr=subprocess.DEVNULL) as consumer:
        with suppress(DeadlineError):
            wait_until(lambda: statuses() == expected, timeout_s=180, ignoring=sqlite3.Error)
        consumer.terminate()
    return statuses()


def test_killed_sweep_goes_on_where_it_was(
    sandbox: Sandbox, environ: dict[str, str], redis_client: "redis.Redis"
) -> None:
    environ = {**environ, "THINGSPACE_API_VERSIONS": "v1", "PUBLIC_URL": "http://127.0.0.1:1/cb"}
    recover(environ)
    sandbox.control("PUT", "/options", json={"upgrades_per_page": 20})
    placed = {"version": "v1", "devices": 400, "upgrades": 400, "states": {"Finished": 1}}
    sandbox.control("POST", "/campaigns", json=placed)
    command = [*REGISTRAR, "recover"]
    whole = {"PATH": f"{BIN}:{os.environ['PATH']}", **environ}
    with subprocess.Popen(command, cwd=ROOT, env=whole, stderr=subprocess.DEVNULL) as sweep:
        wait_until(lambda: redis_client.hlen(UPGRADES) >= 60)
        sweep.send_signal(signal.SIGKILL)
    done: Any = redis_client.hlen(UPGRADES)
    assert done < 400
    # The mutex of a process that is gone expires by itself; nobody waits for that here.
    redis_client.delete("{fota:registrar}:recovery:mutex")
    start = len(sandbox.requests())
    report = recover(environ)
    assert report["slots"][f"{ACCOUNT}/v1"]["kinds"][FINISHED]["due"] == 400
    pages = sandbox.requests(start, path="/api/fota/v1/reports")
    # 20 pages of finished upgrades and 5 empty ones, less those of the first process.
    assert len(pages) <= 25 - done // 20 - 2


def test_registration_is_repaired_within_its_interval_while_a_slow_sweep_runs(
    sandbox: Sandbox, environ: dict[str, str], redis_client: "redis.Redis"
) -> None:
    environ = {**environ, "THINGSPACE_API_VERSIONS": "v1", "REGISTRAR_INTERVAL_S": "2"}
    # The first sweep begins after an interval if that is shorter than some minutes: 36 s here.
    environ |= {"RECOVERY_INTERVAL_H": "0.01", "REGISTRAR_TAKEOVER": "always"}
    sandbox.fault("/api/fota/v1/reports", delay_s=10, count=1000)
    with Service(*SUPERVISED, **environ) as service:
        wait_until_registered(service)
        url = sandbox.registered_url("v1")
        wait_until(lambda: sandbox.requests(path="/api/fota/v1/reports"), service.log, timeout_s=90)
        for _ in range(3):
            sandbox.deregister_outside()
            began = time.monotonic()
            wait_until(lambda: sandbox.registered_url("v1") == url, service.log)
            assert time.monotonic() - began < 2 + 1
            time.sleep(2)
        assert sandbox.requests(path="/api/fota/v1/reports")
