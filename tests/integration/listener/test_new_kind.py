"""A new kind of message is one class and one row in `listener/messages/kinds.py`; all else follows."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
NAME, TYPE, UPGRADE = "upgrade-paused", "upgradePaused", "60b5d639-ccdc-4db8-8824-069bd94c95bf"
CLASS = '''
@dataclass(frozen=True, kw_only=True, slots=True)
class UpgradePaused(Message):
    """An upgrade was paused."""

    upgrade_id: str | None = field(metadata=documented("upgradeId", f"{UPGRADE_ID}."))
    paused_by: str | None = field(metadata=likely("pausedBy", "Who paused it.", in_line="by"))
    devices: tuple[Device, ...] = field(
        metadata=likely("deviceList", "Devices.", items=Device, in_line="device")
    )


'''
ROW = f'    Kind("{NAME}", "{TYPE}", "An upgrade was paused.", UpgradePaused, stage="started"),\n'
DEVICES = [{"deviceId": "990013907835573", "status": "Paused", "since": "today"}]
SAMPLE = {
    "accountName": "0242078689-00001",
    "type": TYPE,
    "firmwareList": [],
    TYPE: {"upgradeId": UPGRADE, "pausedBy": "operator", "deviceList": DEVICES, "until": "Monday"},
}
PROGRAM = """
import json, sys
from listener.consumer import Consumer, UpgradePaused, kinds, message
from listener.errors import RefusalError
from listener.inspection.stream_entry import StreamEntry
from listener.inspection.entry_text import event_text
from listener.ops.openapi import openapi_document
from listener.ops.status_page.page import CHART_KINDS
from listener.ops.status_page.upgrades import track_upgrades
from listener.settings.settings import Settings

sample = json.loads(sys.argv[1])
typed = message(sample)
entry = StreamEntry("1-0", {**typed.attributes, "data": typed.raw.decode()})
handled = []
consumer = Consumer("redis://localhost", group="g")
consumer.on("upgrade-paused")(handled.append)
consumer.dispatch(typed)
try:
    refusal = message({**sample, "upgradePaused": [1]}) and None
except RefusalError as error:
    refusal = [error.reason, error.detail]
print(json.dumps({
    "class": isinstance(typed, UpgradePaused),
    "kind": typed.kind,
    "subject": typed.subject,
    "attributes": [typed.upgrade_id, typed.paused_by, typed.devices[0].device_id],
    "extra": [typed.extra, typed.devices[0].extra],
    "handled": len(handled),
    "refusal": refusal,
    "elsewhere": message({"type": "upgradeProgress", "upgradePaused": []}).kind,
    "line": event_text(entry),
    "openapi": "upgrade-paused" in openapi_document(Settings.from_env())["components"]["schemas"],
    "drawn": "upgrade-paused" in CHART_KINDS,
    "labels": "upgrade-paused" in kinds.KIND_NAMES,
    "upgrades": [(it.id, it.stage, it.devices) for it in track_upgrades([entry])],
}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a listener in which one file has a kind more."""
    folder = tmp_path_factory.mktemp("new-kind")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "listener", folder / "listener", ignore=ignored)
    file = folder / "listener" / "messages" / "kinds.py"
    before, unknown, after = file.read_text().partition(
        "\n@dataclass(frozen=True, kw_only=True, slots=True)\nclass Unknown("
    )
    after = after.replace(")\nUNKNOWN =", f"{ROW})\nUNKNOWN =", 1)
    exported = before.replace('    "Unknown",\n', '    "Unknown",\n    "UpgradePaused",\n', 1)
    file.write_text(exported + CLASS + unknown + after)
    assert ROW in file.read_text()
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs Python in the folder, whose listener it imports."""
    environment = {"PATH": os.environ["PATH"], "ALLOW_ANY_SENDER": "true"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_everything_follows_a_new_row_of_the_table(folder: Path) -> None:
    result = run(folder, "-c", PROGRAM, json.dumps(SAMPLE))
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    line = found.pop("line")
    assert found == {
        "class": True,
        "kind": NAME,
        "subject": UPGRADE,
        "attributes": [UPGRADE, "operator", "990013907835573"],
        "extra": [{"until": "Monday"}, {"since": "today"}],
        "handled": 1,
        "refusal": ["wrong-shape", TYPE],
        "elsewhere": "upgrade-started",
        "openapi": True,
        "drawn": True,
        "labels": True,
        "upgrades": [[UPGRADE, "started", {"990013907835573": "started"}]],
    }
    assert line.endswith(
        "upgrade-paused      0242078689-00001  upgrade 60b5d639  by operator, 1 device"
    )


@pytest.mark.slow
def test_the_command_line_knows_a_new_kind(folder: Path) -> None:
    shown = run(folder, "-m", "listener", "schema", NAME)
    schema = json.loads(shown.stdout)
    assert schema["properties"]["type"] == {"const": TYPE}
    container = schema["properties"][TYPE]["anyOf"][0]
    assert list(container["properties"]) == ["upgradeId", "pausedBy", "deviceList"]
    entry = json.loads(run(folder, "-m", "listener", "schema", "entry").stdout)
    assert NAME in entry["properties"]["kind"]["enum"]
    refused = run(folder, "-m", "listener", "tail", "--kind", "nonsense")
    assert refused.returncode == 2
    assert f"'{NAME}'" in refused.stderr
