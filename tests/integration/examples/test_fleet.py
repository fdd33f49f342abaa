"""The worked example: the state of a fleet in a database, whatever comes in whatever order."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from listener import consumer
from listener.consumer import message
from listener.consumer.testing import recovered_sample
from listener.messages.message import Message
from listener.queue.writer import RedisWriter
from listener.settings.settings import Settings
from testbed.polling import wait_until

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "docs" / "examples" / "fleet_state.py"
SAMPLES = {
    path.stem: json.loads(path.read_text())
    for path in (ROOT / "listener" / "messages" / "samples").glob("*.json")
}
DEVICE, REFUSED = "990013907835573", "990013907884259"


def load() -> ModuleType:
    spec = util.spec_from_file_location("fleet_state", EXAMPLE)
    assert spec
    assert spec.loader
    module = util.module_from_spec(spec)
    # SQLAlchemy looks up the annotations there.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


fleet: Any = load()


def message_of(kind: str, second: int, **members: Any) -> consumer.Message:
    """A sample as it arrived in that second, with some members of its container changed."""
    sample = SAMPLES[kind]
    type_ = sample["type"]
    content = {**sample, type_: {**sample[type_], **members}}
    return replace(message(content), time_text=f"2026-11-23T00:00:{second:02}.000000Z")


SCHEDULED = message_of("upgrade-scheduled", 1)
STARTED = message_of("upgrade-started", 2)
FINISHED = message_of("upgrade-finished", 3)
FAILED_LATER = message_of("upgrade-finished", 5, status="UpgradeFailed", reason="again")
REPORT = {
    "id": SCHEDULED.subject,
    "firmwareName": "F-2",
    "startDate": "2018-04-01",
    "status": "Finished",
    "deviceList": [
        {"deviceId": DEVICE, "status": "UpgradeSuccess"},
        {"deviceId": "990013907884267", "status": "UpgradeFailed", "resultReason": "no power"},
        "no device",
    ],
}


def recovered(
    kind: str, second: int, report: dict[str, Any] = REPORT, device_id: str | None = None
) -> consumer.Message:
    upgrade = str(SCHEDULED.subject)
    made = recovered_sample(kind, report, upgrade_id=upgrade, device_id=device_id)
    return replace(made, time_text=f"2026-11-23T00:00:{second:02}.000000Z")


RECOVERED = [
    recovered("upgrade-scheduled", 20),
    recovered("upgrade-started", 21),
    recovered("upgrade-finished", 22),
    recovered("upgrade-finished", 23, {"deviceId": DEVICE, "status": "UpgradeFailed"}, DEVICE),
]
CAMPAIGN = [
    SCHEDULED,
    STARTED,
    FINISHED,
    message_of("upgrade-started", 4, n=1),
    FAILED_LATER,
    message_of("upgrade-scheduled", 6, startDate="2018-05-01", deviceList=[]),
    message_of("upgrade-started", 7, deviceId=REFUSED, firmwareName="other"),
    message_of("upgrade-started", 8, upgradeId="another"),
    message_of("upgrade-finished", 9, upgradeId="another", status={"no": "text\0"}, reason=None),
    message_of("upgrade-finished", 10, deviceId=None),
    replace(message(SAMPLES["firmware-available"]), time_text="2026-11-23T00:00:11.000000Z"),
    replace(message(SAMPLES["unrecognised-v2"]), time_text="2026-11-23T00:00:12.000000Z"),
]


def state(engine: Engine) -> list[tuple[Any, ...]]:
    """Every row of every table."""
    with engine.connect() as connection:
        tables = fleet.Base.metadata.sorted_tables
        return sorted(
            (table.name, *map(str, row))
            for table in tables
            for row in connection.execute(select(table))
        )


def after(deliveries: Sequence[consumer.Message]) -> Engine:
    """A database of its own, once the consumer was given these."""
    engine = create_engine("sqlite://")
    program = fleet.consumer_for(engine)
    for delivery in deliveries:
        program.dispatch(delivery)
    return engine


def state_after(deliveries: Sequence[consumer.Message]) -> list[tuple[Any, ...]]:
    engine = after(deliveries)
    try:
        return state(engine)
    finally:
        engine.dispose()


def device(deliveries: Sequence[consumer.Message]) -> tuple[int, str, str]:
    engine = after(deliveries)
    with Session(engine) as session:
        row = session.scalars(select(fleet.Device).where(fleet.Device.device_id == DEVICE)).one()
    engine.dispose()
    return row.rank, row.status, row.time


IN_ORDER = state_after(CAMPAIGN)


@settings(max_examples=40, deadline=None)
@given(st.permutations(CAMPAIGN), st.lists(st.sampled_from(CAMPAIGN), max_size=8), st.randoms())
def test_any_order_and_any_duplicates_lead_to_the_same_state(
    order: list[consumer.Message], again: list[consumer.Message], random: Any
) -> None:
    for extra in again:
        order.insert(random.randrange(len(order) + 1), extra)
    assert state_after(order) == IN_ORDER


PARTLY_RECOVERED = [SCHEDULED, STARTED, FINISHED, *RECOVERED]
PARTLY_IN_ORDER = state_after(PARTLY_RECOVERED)


@settings(max_examples=25, deadline=None)
@given(st.permutations(PARTLY_RECOVERED), st.sampled_from(PARTLY_RECOVERED))
def test_recovered_messages_in_any_order_lead_to_the_same_state(
    order: list[consumer.Message], again: consumer.Message
) -> None:
    assert state_after([*order, again]) == PARTLY_IN_ORDER


def test_a_late_start_does_not_overwrite_what_finished() -> None:
    late = replace(STARTED, time_text="2026-11-23T00:00:59.000000Z")
    assert device([SCHEDULED, FINISHED, late]) == (3, "UpgradeSuccess", FINISHED.time_text)
    assert device([FAILED_LATER, FINISHED]) == (3, "UpgradeFailed", FAILED_LATER.time_text)


def test_recovered_message_tells_where_nothing_came() -> None:
    started = recovered("upgrade-started", 8, {"deviceId": DEVICE, "status": "x"}, DEVICE)
    assert device([SCHEDULED, started]) == (2, "x", started.time_text)
    finished = recovered("upgrade-finished", 9)
    assert device([SCHEDULED, STARTED, finished]) == (3, "UpgradeSuccess", finished.time_text)
    rows = [row for row in state_after([finished]) if row[0] == "devices"]
    assert len(rows) == 2
    assert any("no power" in row for row in rows)


def test_what_thingspace_sent_counts_before_what_was_recovered_whichever_came_first() -> None:
    for order in ([FINISHED, *RECOVERED], [*RECOVERED, FINISHED]):
        assert device(order) == (3, "UpgradeSuccess", FINISHED.time_text)
    rows = [row for row in state_after([*RECOVERED, SCHEDULED]) if row[0] == "upgrades"]
    assert [SCHEDULED.time_text in row for row in rows] == [True]


def test_upgrade_that_was_recovered_as_started_says_nothing_of_its_devices() -> None:
    rows = state_after([recovered("upgrade-started", 9)])
    assert {row[0] for row in rows} == {"handled", "upgrades", "events"}


def test_what_is_sent_again_after_the_window_for_duplicates_is_applied_once() -> None:
    once = state_after([SCHEDULED, FINISHED])
    again = replace(FINISHED, time_text="2026-11-23T00:00:59.000000Z", entry_id="9-9")
    assert state_after([SCHEDULED, FINISHED, again]) == once


def printed(engine: Engine, *words: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(fleet, "create_engine", lambda _: engine)
    return CliRunner().invoke(fleet.main, words)


def test_history_of_a_device_has_every_message_about_it_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = after([FAILED_LATER, FINISHED, SCHEDULED, STARTED, FINISHED])
    result = printed(engine, "device", DEVICE, monkeypatch=monkeypatch)
    state, empty, title, *history = result.output.splitlines()
    assert (result.exit_code, empty, title) == (0, "", "history")
    assert "UpgradeFailed" in state
    assert [line.split()[0] for line in history] == [
        each.time_text for each in (SCHEDULED, STARTED, FINISHED, FAILED_LATER)
    ]


def test_upgrade_is_printed_with_its_devices_and_its_history(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = after(CAMPAIGN)
    upgrade = str(SCHEDULED.subject)
    result = printed(engine, "upgrade", upgrade, monkeypatch=monkeypatch)
    [head], devices, history = (
        part.splitlines()
        for part in result.output.replace("\ndevices\n", "\nhistory\n", 1).split("\nhistory\n")
    )
    assert upgrade in head
    assert [line.split()[1] for line in devices] == [DEVICE, REFUSED]
    assert [line.split()[0] for line in history] == sorted(line.split()[0] for line in history)
    # Both devices when it was scheduled, and once more without any; one that names no device.
    assert len(history) == 2 + 1 + 6
    assert "another" not in result.output


def test_beginning_of_an_upgrades_id_will_do_but_nothing_is_a_wildcard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def shown(upgrade_id: str) -> str:
        # The program closes its engine, and with it this database.
        return str(printed(after(CAMPAIGN), "upgrade", upgrade_id, monkeypatch=monkeypatch).output)

    upgrade = str(SCHEDULED.subject)
    assert "history" in shown(upgrade) == shown(upgrade[:8])
    for none in (upgrade[:7], "%" * 9, "_" * len(upgrade), f"{upgrade}0"):
        assert shown(none).startswith("Error: no message was about")


@pytest.mark.parametrize("command", ["upgrade", "device"])
@pytest.mark.parametrize("unknown", ["none", "", "'; DROP TABLE events; --", "990\x1b[31m"])
def test_upgrade_or_device_that_is_not_there_is_an_error_in_a_sentence(
    command: str, unknown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = after([SCHEDULED])
    result = printed(engine, command, unknown, monkeypatch=monkeypatch)
    assert (result.exit_code, result.output) == (
        1,
        f"Error: no message was about the {command} {unknown!r}\n",
    )
    engine.dispose()


def test_device_that_a_message_names_twice_has_one_event() -> None:
    named = [{"deviceId": DEVICE, "status": status} for status in ("first", "second")]
    rows = state_after([message_of("upgrade-scheduled", 1, deviceList=named)])
    for table in ("events", "devices"):
        [row] = (row for row in rows if row[0] == table)
        assert "first" in row


def test_a_failure_in_the_middle_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = create_engine("sqlite://")
    program = fleet.consumer_for(engine)
    keep, calls = fleet.keep, []

    def fail_at_the_third(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == 3:
            raise InterruptedError
        keep(*arguments)

    monkeypatch.setattr(fleet, "keep", fail_at_the_third)
    with pytest.raises(InterruptedError):
        program.dispatch(SCHEDULED)
    assert state(engine) == []
    program.dispatch(SCHEDULED)
    assert state(engine) == state_after([SCHEDULED])
    engine.dispose()


def test_the_program_consumes_the_queue_and_prints_the_state(
    redis_url: str, tmp_path: Path
) -> None:
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "REDIS_URL": redis_url,
        "DATABASE_URL": f"sqlite:///{tmp_path}/fleet.sqlite3",
    }
    log = tmp_path / "log"

    def run(*words: str) -> str:
        result = CliRunner(env=environ).invoke(fleet.main, words, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    writer = RedisWriter(Settings.from_env({"REDIS_URL": redis_url, "ALLOW_ANY_SENDER": "true"}))
    for sample in SAMPLES.values():
        writer.put(Message.from_payload(sample, arrived=datetime.now(UTC), request_id="r"))
    writer.close()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, EXAMPLE, "consume"], env=environ, stdout=output, stderr=output
        )
    try:
        engine = create_engine(environ["DATABASE_URL"])
        wait_until(lambda: handled(engine) == 3, log.read_text)
        engine.dispose()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
    [line] = run("upgrades").splitlines()
    assert "2018-04-01" in line
    assert line.endswith("scheduled 1, started 0, finished 1")
    [finished, refused] = run(
        "devices", "--upgrade", "60b5d639-ccdc-4db8-8824-069bd94c95bf"
    ).splitlines()
    assert (DEVICE in finished, "UpgradeSuccess" in finished) == (True, True)
    assert (REFUSED in refused, "Device Rejected" in refused) == (True, True)
    assert not run("devices", "--upgrade", "none")
    upgrade = run("upgrade", "60b5d639-ccdc-4db8-8824-069bd94c95bf")
    assert (upgrade.count("\n"), upgrade.count(DEVICE)) == (11, 4)
    assert run("device", DEVICE).count("\n") == 6


def handled(engine: Engine) -> int:
    try:
        return sum(row[0] == "handled" for row in state(engine))
    except OperationalError:
        # The tables are not there yet, or are being written.
        return 0
