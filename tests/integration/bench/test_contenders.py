"""The contenders of bench/run do the same work; where a stack is not installed, it is left out, but not in CI."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from bench.load import closed_loop, messages, open_loop
from bench.rig import contender, environment, store
from bench.rig.contender import Contender, running_contender
from bench.rig.store import Store
from testbed.programs import MissingProgramError, find_program
from testbed.service import Service

ROOT = Path(__file__).parents[3]
SAMPLES = sorted((ROOT / "listener" / "messages" / "samples").glob("*.json"))
IDS = {
    "firmware-available": "7e71d2bd5667c473e928106a4eeefde3",
    "upgrade-finished": "6a7210cedf9c7f4cd840f9c8d1bdc5f8",
    "upgrade-scheduled": "2dec9dc0ceb2a8fe35a6b4da953460b6",
    "upgrade-started": "31f14885bda48f2b3f120191f774672a",
}


def entry(kind: str) -> dict[str, Any]:
    """As docs/queue.md has it; `data` read, and without what differs from run to run."""
    data = json.loads((ROOT / "listener" / "messages" / "samples" / f"{kind}.json").read_text())
    del data["username"], data["password"]
    upgrades = [data[name]["upgradeId"] for name in messages.CONTAINERS if data.get(name)]
    fields = {
        "specversion": "1.0",
        "id": IDS[kind],
        "source": "/thingspace/fota/0242078689-00001",
        "type": f"com.verizon.thingspace.fota.{data['type']}",
        **({"subject": upgrades[0]} if upgrades else {}),
        "datacontenttype": "application/json",
        "data": data,
        "kind": kind,
        "account": "0242078689-00001",
    }
    return {**fields, "fields": sorted([*fields, "time", "requestid"])}


def installed(name: str) -> Contender:
    """A contender whose dependencies are installed: tests install nothing."""
    find_program("wrk")
    if name == "ours":
        return contender.ours()
    if name == "fastify":
        if not (environment.NODE / "installed").exists():
            raise MissingProgramError("the Node contender is not installed: bench/run install")
    elif name == "fastapi" and not (environment.VENV / "installed").exists():
        raise MissingProgramError("the Python contenders are not installed: bench/run install")
    elif name == "flask":
        # All that it needs the service needs as well.
        return contender.PYTHON_CONTENDERS[name](sys.executable)
    chosen = contender.find(name)
    assert chosen
    return chosen


@pytest.fixture(params=contender.NAMES)
def running(request: pytest.FixtureRequest) -> Iterator[tuple[Service, Store]]:
    chosen = installed(request.param)
    with store.running("everysec") as queue, running_contender(chosen, queue.url) as server:
        yield server, queue


def post(server: Service, body: bytes) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        url = f"http://127.0.0.1:{server.port}{messages.PATH}"
        return session.post(url, body, headers={"Content-Type": "application/json"}, timeout=10)


@pytest.mark.quick_cases(1)
def test_a_contender_does_what_all_of_them_must(
    running: tuple[Service, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_loop, "SETTLE_S", 0)
    server, queue = running
    # The samples: the last one has no credentials, and so is refused.
    answers = {path.stem: post(server, path.read_bytes()) for path in SAMPLES}
    assert {name: answer.status_code for name, answer in answers.items()} == {
        "firmware-available": 200,
        "unrecognised-v2": 401,
        "upgrade-finished": 200,
        "upgrade-scheduled": 200,
        "upgrade-started": 200,
    }
    first = json.loads(SAMPLES[0].read_text())
    assert post(server, json.dumps({**first, "password": "wrong"}).encode()).status_code == 401
    assert post(server, json.dumps({**first, "upgradeFinished": 7}).encode()).status_code == 400
    assert post(server, b"{").status_code == 400
    # Once more, members in another order: the same message.
    again = post(server, json.dumps(dict(reversed(first.items()))).encode()).json()
    assert again == {"id": IDS["firmware-available"], "duplicate": True}
    assert store.sample(queue) == {IDS[kind]: entry(kind) for kind in IDS}
    # Both generators, and the account of what they sent.
    templates = messages.sample_templates()
    figures = closed_loop.drive(server.port, templates, tmp_path, connections=4, seconds=1, first=1)
    assert not figures["refused"]
    store.check_count(queue, 4, figures["kept"], in_flight=4)
    before = queue.length()
    figures = open_loop.drive(
        server.port, templates, rate=100, connections=4, seconds=1, first=messages.RANGE
    )
    assert (figures["kept"], figures["broken"]) == (100, 0)
    store.check_count(queue, before, 100, in_flight=0)
