"""The typed messages: documented members are attributes, and nothing of the provider's makes them fail."""

import dataclasses
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener.consumer import (
    Device,
    Firmware,
    FirmwareAvailable,
    MalformedError,
    Message,
    Recovered,
    Unknown,
    UpgradeFinished,
    UpgradeScheduled,
    UpgradeStarted,
    message,
    typed,
)
from listener.consumer.testing import recovered_sample
from listener.errors import RefusalError
from listener.messages import kinds
from listener.messages.kinds import KIND_NAMES, KINDS, KINDS_BY_TYPE
from listener.messages.members import Kind, members_of

SAMPLES = Path(__file__).parents[3] / "listener" / "messages" / "samples"
UPGRADE = "60b5d639-ccdc-4db8-8824-069bd94c95bf"

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
NAMES = st.text() | st.sampled_from(
    ["type", "accountName", "participantName", "deviceList", "upgradeId", "status", *KINDS_BY_TYPE]
)
VALUES = st.recursive(LEAVES, lambda it: st.lists(it) | st.dictionaries(NAMES, it), max_leaves=20)


def sample(name: str) -> Any:
    return message((SAMPLES / f"{name}.json").read_bytes())


def of(data: Any, kind: str = "upgrade-finished", **fields: bytes) -> Any:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    given_fields = {b"data": raw, b"kind": kind.encode()}
    given_fields |= {name.encode(): value for name, value in fields.items()}
    return typed(given_fields, entry_id="1-0", partition=0, deliveries=1)


CLASSES = [Firmware, Device, *(kind.message for kind in KINDS)]


@pytest.mark.parametrize("class_", CLASSES, ids=lambda class_: class_.__name__)
def test_every_attribute_of_a_class_is_declared_and_the_guide_names_it(class_: Any) -> None:
    of_every_message = {field.name for field in dataclasses.fields(Message)}
    named = {field.name for field in dataclasses.fields(class_)}
    if issubclass(class_, Message):
        named -= of_every_message
        assert class_.__name__ in kinds.__all__
    declared = {*members_of(class_), *({"firmware"} if class_ is FirmwareAvailable else ())}
    assert named - {"extra"} == declared
    guide = (SAMPLES.parents[2] / "docs" / "consumer.md").read_text()
    (row,) = re.findall(rf"^.*`{class_.__name__}`.*$", guide, re.MULTILINE)
    assert declared <= set(re.findall(r"`(\w+)`", row))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_documents_name_every_kind(kind: Kind) -> None:
    documents = SAMPLES.parents[2] / "docs"
    assert f"| `{kind.name}` | `{kind.type}` |" in (documents / "queue.md").read_text()
    row = f"| `{kind.message.__name__}` | `{kind.name}` |"
    assert row in (documents / "consumer.md").read_text()


def test_what_the_schemas_describe_of_a_device_are_its_attributes() -> None:
    (devices,) = (it for it in members_of(UpgradeScheduled).values() if it.items)
    named = {member.name for member in members_of(Device).values()}
    assert set(re.findall(r"`(\w+)`", devices.description)) == named


def test_a_finished_upgrade() -> None:
    got = sample("upgrade-finished")
    assert isinstance(got, UpgradeFinished)
    assert (got.kind, got.upgrade_id, got.subject) == ("upgrade-finished", UPGRADE, UPGRADE)
    assert (got.device_id, got.status, got.reason) == (
        "990013907835573",
        "UpgradeSuccess",
        "success",
    )
    assert got.upgrade_finish_time == "2022-01-26 03:45:01.608 +0000 UTC"
    assert got.firmware_name == "FOTA_Verizon_Model-A_01To02_HF"
    assert (got.account, got.participant_name) == ("0242078689-00001", "0242078689-00001")
    assert got.type == "com.verizon.thingspace.fota.upgradeFinished"
    assert got.source == "/thingspace/fota/0242078689-00001"
    assert got.data == json.loads(got.raw)
    assert "password" not in got.data
    assert got.attributes["specversion"] == "1.0"
    assert got.attributes["requestid"] == got.request_id == "sample"
    assert (got.extra, got.deliveries) == ({}, 1)


def test_trace_context_is_that_of_the_entry_or_none() -> None:
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert of({}, traceparent=traceparent.encode()).traceparent == traceparent
    assert (of({}).traceparent, sample("upgrade-started").traceparent) == (None, None)


def test_a_started_upgrade() -> None:
    got = sample("upgrade-started")
    assert isinstance(got, UpgradeStarted)
    assert (got.upgrade_id, got.status) == (UPGRADE, "InProgress")
    assert got.upgrade_start_time == "2018-04-01T19:07:21Z"


def test_a_scheduled_upgrade_and_its_devices() -> None:
    got = sample("upgrade-scheduled")
    assert isinstance(got, UpgradeScheduled)
    assert (got.start_date, len(got.devices)) == ("2018-04-01", 2)
    assert got.devices[1].device_id == "990013907884259"
    assert got.devices[1].status == "Device Rejected"
    assert got.devices[1].result_reason == "Device not eligible for service."


def test_available_firmware() -> None:
    got = sample("firmware-available")
    assert isinstance(got, FirmwareAvailable)
    assert got.subject is None
    assert got.firmware[1] == Firmware(
        firmware_name="SEQUANSCommunications_GM01Q_SR1.2.0.0-10512_SR1.2.0.0-10657",
        participant_name="0242078689-00001",
        launch_date="2018-05-09",
        release_note="https://example.com/notes/10657",
        model="GM01Q",
        make="SEQUANS Communications",
        from_version="SR1.2.0.0-10512",
        to_version="SR1.2.0.0-10657",
        extra={},
    )


def test_an_unknown_structure_has_its_members_in_extra() -> None:
    got = sample("unrecognised-v2")
    assert isinstance(got, Unknown)
    assert got.account == "0000123456-00001"
    assert got.extra == {name: it for name, it in got.data.items() if name != "accountName"}


def test_a_container_of_another_kind_is_in_extra_unless_it_is_empty() -> None:
    other = {"upgradeId": "u-2", "status": "InProgress"}
    unknown = message({"type": "v2", "upgradeFinished": other, "firmwareList": []})
    assert unknown.extra == {"upgradeFinished": other}
    for kind in KINDS_BY_TYPE:
        got = message({"type": kind, "upgradeProgress": other, "upgradeScheduled": {}})
        assert got.extra == ({} if kind == "upgradeProgress" else {"upgradeProgress": other})


def test_what_is_undocumented_is_in_extra_the_containers_members_first() -> None:
    data = {
        "type": "upgradeFinished",
        "campaign": "of the message",
        "extra1": 1,
        "upgradeFinished": {"status": "Done", "campaign": "of the container"},
        "firmwareList": [],
    }
    got = of(data)
    assert got.extra == {"campaign": "of the container", "extra1": 1}
    assert (got.status, got.upgrade_id) == ("Done", None)


def test_a_leaf_of_another_type_passes_as_it_is() -> None:
    assert of({"upgradeFinished": {"status": 7, "upgradeId": [1]}}).status == 7


def test_what_does_not_fit_is_left_out_and_stays_in_data() -> None:
    got = of({"firmwareList": ["x", {"model": "m"}, None]}, "firmware-available")
    assert [firmware.model for firmware in got.firmware] == ["m"]
    assert of({"upgradeScheduled": {"deviceList": "none"}}, "upgrade-scheduled").devices == ()
    assert of({"upgradeFinished": "done"}).status is None


def test_a_kind_of_a_later_version_is_unknown_and_keeps_its_word() -> None:
    got = of({}, "upgrade-paused")
    assert isinstance(got, Unknown)
    assert got.kind == "upgrade-paused"


def test_messages_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        sample("upgrade-finished").status = "other"


def test_the_time_is_aware_and_its_text_as_it_was() -> None:
    got = of({}, time=b"2026-11-23T08:00:00.250000Z")
    assert got.time == datetime(2026, 11, 23, 8, 0, 0, 250000, UTC)
    assert got.time_text == "2026-11-23T08:00:00.250000Z"
    assert of({}, time=b"2026-11-23T08:00:00").time.tzinfo is UTC
    assert of({}, time=b"yesterday").time is None


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'"text"', b"\xff{}", b"[" * 100_000])
def test_an_entry_that_is_no_message_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        of(data)


def test_an_entry_without_data_is_malformed() -> None:
    with pytest.raises(MalformedError, match="no field `data`"):
        typed({b"kind": b"unknown"}, entry_id="1-0", partition=0, deliveries=1)


def test_a_sample_that_the_listener_would_refuse_is_refused() -> None:
    with pytest.raises(RefusalError, match="wrong-shape"):
        message({"type": "upgradeFinished", "upgradeFinished": "done"})
    with pytest.raises(RefusalError, match="not-json"):
        message("{")


@given(st.sampled_from([*KIND_NAMES, "later"]), st.dictionaries(NAMES, VALUES))
def test_no_object_of_json_ever_raises(kind: str, data: dict[str, Any]) -> None:
    got: Message = of(data, kind)
    assert got.data == data
    assert hash(got.id) == hash("")
    # Every member is at hand: as an attribute's source, or in extra.
    assert set(got.extra) <= {
        *data,
        *(n for it in data.values() if isinstance(it, dict) for n in it),
    }


@given(st.dictionaries(st.binary(), st.binary()))
def test_no_fields_whatever_raise_anything_else(fields: dict[bytes, bytes]) -> None:
    got = typed({**fields, b"data": b"{}"}, entry_id="1-0", partition=0, deliveries=1)
    assert got.data == {}


DEVICE_REPORT = {"deviceId": "990013907835573", "status": "UpgradeFailed", "resultReason": "No"}
UPGRADE_REPORT = {
    "id": "u-1",
    "firmwareName": "F-2",
    "startDate": "2018-04-01",
    "endDate": "2018-04-02",
    "status": "Finished",
    "deviceList": [DEVICE_REPORT],
}


def test_message_that_thingspace_sent_is_not_recovered() -> None:
    assert sample("upgrade-finished").recovered is None


def test_recovered_message_says_what_it_rests_on_and_its_attributes_are_the_reports() -> None:
    got = recovered_sample("upgrade-scheduled", UPGRADE_REPORT, upgrade_id="u-1")
    assert isinstance(got, UpgradeScheduled)
    assert got.recovered == Recovered(
        version="v1",
        call="GET /fota/v1/upgrades/0242078689-00001/upgrade/u-1",
        status="Finished",
        device_id=None,
        report=UPGRADE_REPORT,
    )
    assert got.attributes["basis"] == got.recovered.call
    assert (got.subject, got.upgrade_id) == ("u-1", "u-1")
    assert (got.firmware_name, got.start_date) == ("F-2", "2018-04-01")
    assert [device.status for device in got.devices] == ["UpgradeFailed"]
    assert got.extra == {"id": "u-1", "endDate": "2018-04-02", "status": "Finished"}


def test_report_about_one_device_gives_its_status_and_reason() -> None:
    got = recovered_sample(
        UpgradeFinished, DEVICE_REPORT, upgrade_id="u-1", device_id="990013907835573"
    )
    assert isinstance(got, UpgradeFinished)
    assert (got.device_id, got.status, got.reason) == ("990013907835573", "UpgradeFailed", "No")
    assert got.upgrade_id == "u-1"
    scheduled = recovered_sample(
        UpgradeScheduled, DEVICE_REPORT, upgrade_id="u-1", device_id="990013907835573"
    )
    assert isinstance(scheduled, UpgradeScheduled)
    assert [device.result_reason for device in scheduled.devices] == ["No"]


@pytest.mark.parametrize(
    "data", [{}, {"recovered": 1, "report": []}, {"recovered": {"deviceId": 7}, "report": None}]
)
@pytest.mark.parametrize("kind", [*KIND_NAMES, "of-a-later-version"])
def test_recovered_message_that_somebody_else_wrote_raises_nothing(
    kind: str, data: dict[str, Any]
) -> None:
    fields = {b"data": json.dumps(data).encode(), b"kind": kind.encode(), b"origin": b"recovered"}
    got = typed(fields, entry_id="1-0", partition=0, deliveries=1)
    assert got.recovered
    assert got.recovered.report == {}


@pytest.mark.parametrize("kind", ["unknown", "firmware-available", "none"])
def test_kind_that_no_report_proves_due_has_no_recovered_sample(kind: str) -> None:
    with pytest.raises(ValueError, match="is not recovered"):
        recovered_sample(kind, {}, upgrade_id="u")
