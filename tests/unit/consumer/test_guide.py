"""The examples of docs/consumer.md are run, in the order of the document."""

import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from listener.consumer import Consumer, Reject, Retry
from listener.consumer.testing import RunFactory
from listener.pytest_plugin import fota_run

__all__ = ["fota_run"]

GUIDE = (Path(__file__).parents[3] / "docs" / "consumer.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
STARTED = {"type": "upgradeProgress", "upgradeProgress": {"upgradeId": "u-1", "deviceId": "9"}}
FINISHED = {
    "type": "upgradeFinished",
    "upgradeFinished": {"upgradeId": "u-1", "deviceId": "9", "status": "UpgradeSuccess"},
}


def example(words: str) -> str:
    """The one example with these words."""
    [found] = (each for each in EXAMPLES if words in each)
    return str(found)


def run(*words: str, **names: Any) -> dict[str, Any]:
    """Runs examples in one namespace; one without a consumer of its own gets one."""
    space: dict[str, Any] = {"consumer": Consumer(group="billing"), **names}
    for each in words:
        exec(example(each).replace("consumer.run()", ""), space)
    return space


def test_handlers_test_passes() -> None:
    run("consumer.run()", "DeliverySpans", "def test_a_late_finish_is_kept")[
        "test_a_late_finish_is_kept"
    ]()


def test_examples_of_a_run_in_memory_pass(fota_run: RunFactory) -> None:
    tests = {
        name: test for name, test in run("fota_run: RunFactory").items() if name.startswith("test_")
    }
    assert len(tests) == 2
    for test in tests.values():
        test(fota_run)


def test_handler_with_options_decides_about_its_message() -> None:
    consumer = run("raise Reject", devices={"8"})["consumer"]
    with pytest.raises(Retry):
        consumer.dispatch(STARTED)
    with pytest.raises(Reject, match="it names no device"):
        consumer.dispatch({"type": "upgradeProgress", "upgradeProgress": {"upgradeId": "u-1"}})


def test_async_handler_waits_for_all_devices() -> None:
    announced: list[str] = []

    async def announce(device_id: str) -> None:
        announced.append(device_id)

    scheduled = {
        "type": "upgradeScheduled",
        "upgradeScheduled": {
            "upgradeId": "u",
            "deviceList": [{"deviceId": "1"}, {"deviceId": "2"}],
        },
    }
    run("asyncio.gather", announce=announce)["consumer"].dispatch(scheduled)
    assert announced == ["1", "2"]


def test_message_that_comes_again_changes_nothing_in_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with sqlite3.connect("billing.db") as database:
        database.execute("CREATE TABLE handled (id TEXT PRIMARY KEY)")
        database.execute("CREATE TABLE devices (id TEXT PRIMARY KEY, status TEXT)")
        database.execute("INSERT INTO devices VALUES ('9', 'old')")
    database.close()
    consumer = run("def transaction")["consumer"]
    statuses = []
    for status in ("UpgradeSuccess", "changed since"):
        consumer.dispatch(FINISHED)
        with sqlite3.connect("billing.db") as database:
            statuses += database.execute("SELECT status FROM devices").fetchone()
            database.execute("UPDATE devices SET status = 'changed since'")
        database.close()
        assert statuses[-1] == status
